"""GlaS: glands in colon histology."""

import csv
import functools

from dca_keras.data.archive import (
    check_binary,
    check_sizes,
    find_folder,
    take_files,
)
from dca_keras.data.decoding import read_image, read_labels
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import Sample, Splits, hold_out_validation

COUNTS = {"train": 85, "testA": 60, "testB": 20}
LAYOUT = (
    "GlaS is a folder with train_1.bmp, train_1_anno.bmp, testA_…, testB_… "
    "and Grade.csv."
)


@register_dataset(
    "glas",
    class_names=("gland",),
    published_batch=20,
    layouts=[("Grade.csv", "train_*_anno.bmp")],
)
def read_glas(data_dir, *, channels=3, num_classes=1, partial=False):
    """Read the GlaS archive (Warwick-QU), as distributed.

    165 images of colon tissue stained with haematoxylin and eosin, uint8
    RGB at 0.62 µm a pixel, mostly of 775×522 pixels. The masks number the
    glands; every gland is foreground here.

    The owners' splits: 85 images to train, 60 (part A) and 20 (part B) to
    test. The case is the patient that Grade.csv names, and the validation
    split is taken from the training split by patient. Note that the owners'
    test images show patients of the training split too.

    Source: https://warwick.ac.uk/fac/cross_fac/tia/data/glascontest
    Licence: for research only, no commercial use; cite the paper.
    Citation: K. Sirinukunwattana et al., "Gland Segmentation in Colon
    Histology Images: The GlaS Challenge Contest", Medical Image Analysis
    35, 2017.

    Args:
        data_dir: The unpacked folder, or one above it.
        channels: 3, or 1 for the luma.
        num_classes: 1, or 2 with the background.
        partial: Whether to accept an archive that is not complete.

    Returns:
        The `Splits`.

    Raises:
        ValueError: If the archive is not there, or not complete.
    """
    check_binary(num_classes)
    root = find_folder(data_dir, ["*_anno.bmp"], LAYOUT)
    names = [
        f"{part}_{number}"
        for part, count in COUNTS.items()
        for number in range(1, count + 1)
    ]
    wanted = {name: (f"{name}.bmp", f"{name}_anno.bmp") for name in names}
    files = take_files(root, wanted, partial)
    patients = _read_patients(root / "Grade.csv", partial)
    train, test = [], []
    for name, paths in files.items():
        split = train if name.startswith("train") else test
        if name not in patients and not partial:
            raise ValueError(f"{root / 'Grade.csv'} has no line for {name}.")
        case = f"patient{patients[name]}" if name in patients else name
        load = functools.partial(_load, *paths, channels)
        split.append(Sample(name, case, load, files=paths))
    return Splits(*hold_out_validation(train), tuple(test))


def _load(image_path, mask_path, channels):
    image = read_image(image_path, channels)
    mask = (read_labels(mask_path) > 0).astype("int32")
    return check_sizes(image, mask, image_path, mask_path)


def _read_patients(path, partial):
    """Return the patients' numbers by image."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            return {row["name"]: row["patient ID"].strip() for row in rows}
    except (OSError, KeyError, AttributeError) as error:
        if partial:
            return {}
        raise ValueError(
            f"{path}, which names the patients, can't be read: {error!r}. "
            "Download and unpack the archive again, or pass `partial=True`."
        ) from error
