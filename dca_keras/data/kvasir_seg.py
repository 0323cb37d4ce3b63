"""Kvasir-SEG: polyps in colonoscopy."""

import functools

from dca_keras.data.archive import (
    check_binary,
    find_folder,
    load_binary_pair,
    take_files,
)
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import Sample, Splits, split_by_case

COUNT = 1000
SHARES = (0.65, 0.15, 0.2)
LAYOUT = "Kvasir-SEG is a folder with images/*.jpg and masks/*.jpg."


@register_dataset(
    "kvasir_seg",
    class_names=("polyp",),
    published_batch=25,
    # By images/ and masks/ alone it could be anybody's.
    layouts=[("kavsir_bboxes.json", "images/*.jpg", "masks/*.jpg")],
)
def read_kvasir_seg(data_dir, *, channels=3, num_classes=1, partial=False):
    """Read the Kvasir-SEG archive, as distributed.

    1000 images of polyps, JPEG in RGB of 332×487 to 1920×1072 pixels, and
    masks, also JPEG, so that a threshold at half of 255 binarizes them.
    `kavsir_bboxes.json` is not used.

    The archive has no splits and names no patients (the lists of 880 and 120
    images of the owners' challenge, MediaEval 2020, are no part of it). So
    every image is a case of its own, and a hash of its name assigns about
    65 % to train, 15 % to val and 20 % (the share in the paper's code) to
    test.

    Source: https://datasets.simula.no/kvasir-seg
    Licence: the owners' terms, see there; commonly given as research and
    education only, with the citation.
    Citation: D. Jha et al., "Kvasir-SEG: A Segmented Polyp Dataset",
    MultiMedia Modeling, 2020.

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
    root = find_folder(data_dir, ["images/*.jpg", "masks"], LAYOUT)
    names = {path.name for path in root.glob("*/*.jpg")}
    if len(names) < COUNT and not partial:
        raise ValueError(
            f"{root} holds {len(names)} of {COUNT} images. Download and "
            "unpack the archive again, or pass `partial=True` to use what "
            "is here."
        )
    wanted = {
        name.removesuffix(".jpg"): (f"images/{name}", f"masks/{name}")
        for name in sorted(names)
    }
    files = take_files(root, wanted, partial)
    samples = [
        Sample(
            name,
            name,
            functools.partial(load_binary_pair, *paths, channels),
            files=paths,
        )
        for name, paths in files.items()
    ]
    return Splits(*split_by_case(samples, SHARES))
