"""Your own images: `images/` and `masks/`, paired by file name, or a CSV."""

import collections
import csv
import functools
from pathlib import Path

from dca_keras.data.archive import check_sizes, list_folder, shorten
from dca_keras.data.decoding import read_image, read_mask
from dca_keras.data.formats import EXTENSIONS, split_name
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import (
    Sample,
    Splits,
    cut_validation,
    split_by_case,
)

SHARES = (0.7, 0.15, 0.15)
PARTS = ("train", "val", "test")
LAYOUT = "It should hold images/, and masks/ of the same names."


@register_dataset("image_folder")
def read_image_folder(data_dir, *, channels=3, num_classes=1):
    """Read a folder of images and masks, or a CSV file of pairs.

    An image and its mask have one name; their extensions may differ. Every
    image is a case of its own.

        data_dir/images/a.jpg            data_dir/train/images/a.jpg
        data_dir/masks/a.png             data_dir/train/masks/a.png
                                         data_dir/val/…, data_dir/test/…

    On the left, a hash of the names cuts 70 % to train, 15 % to val and 15 %
    to test. On the right, a `val/` that is missing is cut from `train/`
    likewise, 15 % of it.

    A CSV file has a line for every pair, with paths from its own folder:

        image,mask,case,split
        scans/7.dcm,drawn/7.png,patient 3,train

    Without `case` every image is one; without `split` the cases are cut as
    on the left, without `val` in it as on the right.

    Args:
        data_dir: The folder, or the CSV file.
        channels: 1 or 3, what the images are converted to.
        num_classes: 1, or the number of classes with the background.

    Returns:
        The `Splits`.

    Raises:
        ValueError: If folders, images or masks are missing, names are
            ambiguous, a case is in two parts or a part is empty. It names
            the path and what to do.
    """
    root = Path(data_dir).expanduser()
    read = _read_csv if root.suffix.lower() == ".csv" else _read_folder
    load = functools.partial(
        _load_pair, channels=channels, num_classes=num_classes
    )
    splits = read(root, load)
    _check_parts(root, splits)
    return splits


def _read_folder(root, load):
    list_folder(root, LAYOUT)
    parts = [part for part in PARTS if (root / part).is_dir()]
    if not parts:
        return Splits(*split_by_case(_read_pairs(root, load), SHARES))
    if not {"train", "test"} <= set(parts):
        raise ValueError(
            f"{root} has the parts {parts}. It needs train/ and test/, or "
            "none of them: images/ and masks/ alone are cut into parts."
        )
    if (root / "images").exists():
        raise ValueError(
            f"{root} has images/ as well as {parts}. Move it into one of "
            "them, or out of the folder."
        )
    found = {part: _read_pairs(root / part, load, f"{part}-") for part in parts}
    return _with_validation(found)


def _read_csv(path, load):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} can't be read as CSV: {error}.") from error
    samples, parts = [], {}
    for line, row in enumerate(rows, 2):
        sample, part = _read_row(path, line, row, load)
        samples.append(sample)
        parts.setdefault(part, []).append(sample)
    _check_unique(path, samples)
    if None not in parts:
        _check_cases(path, parts)
        return _with_validation(parts)
    if len(parts) > 1:
        raise ValueError(
            f"{path} gives `split` on some lines and not on others. Give it "
            "on all, or on none."
        )
    return Splits(*split_by_case(samples, SHARES))


def _read_row(path, line, row, load):
    """The sample of a CSV's line, and its part if that is given."""
    if not (row.get("image") and row.get("mask")):
        raise ValueError(
            f"{path}, line {line}, names no image and mask. The first line "
            "should be `image,mask`, with `case` and `split` after them where "
            "they are known."
        )
    part = row.get("split") or None
    if part not in (None, *PARTS):
        raise ValueError(
            f"{path}, line {line}: `split` must be one of {PARTS}. "
            f"Received: {part!r}"
        )
    name = row["image"]
    files = path.parent / name, path.parent / row["mask"]
    pair = functools.partial(load, *files)
    return Sample(name, row.get("case") or name, pair, files), part


def _with_validation(parts):
    if "val" not in parts:
        parts["train"], parts["val"] = cut_validation(parts.get("train", ()))
    return Splits(*(tuple(parts.get(part, ())) for part in PARTS))


def _read_pairs(folder, load, prefix=""):
    images = _list_images(folder / "images")
    masks = _list_images(folder / "masks")
    _check_pairs(folder, "images", "mask", images.keys() - masks.keys())
    _check_pairs(folder, "masks", "image", masks.keys() - images.keys())
    return tuple(
        Sample(
            name=prefix + name,
            case=prefix + name,
            load=functools.partial(load, path, masks[name]),
            files=(path, masks[name]),
        )
        for name, path in images.items()
    )


def _load_pair(image_path, mask_path, channels, num_classes):
    image = read_image(image_path, channels)
    mask = read_mask(mask_path, num_classes)
    return check_sizes(image, mask, image_path, mask_path)


def _list_images(folder):
    """The paths of the images in a folder, by name without extension."""
    paths = {}
    for path in list_folder(folder, LAYOUT):
        name, suffix = split_name(path)
        if path.name.startswith(".") or suffix not in EXTENSIONS:
            continue
        if name in paths:
            raise ValueError(
                f"{paths[name]} and {path.name} have one name. Take one "
                "out, or rename it and its partner."
            )
        paths[name] = path
    if not paths:
        raise ValueError(
            f"{folder} holds no image. It should hold some of "
            f"{', '.join(EXTENSIONS)}."
        )
    return paths


def _check_pairs(folder, kind, partner, alone):
    if alone:
        raise ValueError(
            f"{folder} has {len(alone)} {kind} without {partner}: "
            f"{shorten(sorted(alone))}. An image and its mask must have one "
            "name."
        )


def _check_unique(path, samples):
    counts = collections.Counter(sample.name for sample in samples)
    if twice := sorted(name for name in counts if counts[name] > 1):
        raise ValueError(f"{path} names images twice: {shorten(twice)}.")


def _check_cases(path, parts):
    cases = [{sample.case for sample in part} for part in parts.values()]
    everyone = set().union(*cases)
    if torn := sorted(c for c in everyone if sum(c in s for s in cases) > 1):
        raise ValueError(
            f"{path} has cases in two parts: {shorten(torn)}. All images of a "
            "case belong to one part."
        )


def _check_parts(root, splits):
    sizes = {part: len(getattr(splits, part)) for part in PARTS}
    for part, size in sizes.items():
        if not size:
            raise ValueError(
                f"{root}: no image falls to `{part}` when its "
                f"{sum(sizes.values())} images are cut into parts by name. "
                "Add images, or cut them yourself into train/, val/ and "
                "test/."
            )
