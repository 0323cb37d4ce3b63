"""A user's own images: folders of images and masks, or a CSV of pairs."""

import collections
import csv
import functools
import os
from pathlib import Path

from dca_keras.data.archive import check_sizes, list_folder, shorten
from dca_keras.data.decoding import read_image, read_mask
from dca_keras.data.formats import EXTENSIONS, split_name
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import (
    Sample,
    Splits,
    hold_out_validation,
    split_by_case,
)

SHARES = (0.7, 0.15, 0.15)
SPLITS = ("train", "val", "test")
# What folders and the `split` of a CSV may call them.
NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "validation", "valid", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
LAYOUT = "It should hold images/, and masks/ of the same names."


@register_dataset("image_folder")
def read_image_folder(data_dir, *, channels=3, num_classes=1):
    """Read a folder of images and masks, or a CSV file of pairs.

    An image and its mask have the same name; their extensions may differ.
    Every image is a case of its own.

        data_dir/images/a.jpg            data_dir/train/images/a.jpg
        data_dir/masks/a.png             data_dir/train/masks/a.png
                                         data_dir/val/…, data_dir/test/…

    On the left, a hash of the names assigns 70 % to train, 15 % to val and
    15 % to test. On the right, 15 % of `train/` become val, chosen likewise,
    if there is no `val/`. `training/`, `validation/`, `valid/`, `dev/` and
    `testing/` do as well.

    A CSV file has a line for every pair, with paths from its own folder:

        image,mask,case,split
        scans/7.dcm,drawn/7.png,patient 3,train

    Without `case` every image is a case; without `split` the cases are
    divided as on the left, and without any `val` as on the right.

    Args:
        data_dir: The folder, or the CSV file.
        channels: 1 or 3, what the images are converted to.
        num_classes: 1, or the number of classes with the background.

    Returns:
        The `Splits`.

    Raises:
        ValueError: If folders, images or masks are missing, names are
            ambiguous, a case is in two splits or a split is empty. It names
            the path and what to do.
    """
    root = Path(data_dir).expanduser()
    read = _read_csv if root.suffix.lower() == ".csv" else _read_folder
    load = functools.partial(
        _load_pair, channels=channels, num_classes=num_classes
    )
    splits = read(root, load)
    _check_splits(root, splits)
    return splits


def _read_folder(root, load):
    folders = _find_splits(root)
    if not folders:
        return Splits(*split_by_case(_read_pairs(root, load), SHARES))
    if not {"train", "test"} <= folders.keys():
        raise ValueError(
            f"{root} has the splits {list(folders)}. It needs train/ and "
            "test/, or none of them: images/ and masks/ alone are divided "
            "into splits."
        )
    if (root / "images").exists():
        raise ValueError(
            f"{root} has images/ as well as {list(folders)}. Move it into "
            "one of them, or out of the folder."
        )
    return _with_validation(
        {
            split: _read_pairs(folder, load, f"{split}-")
            for split, folder in folders.items()
        }
    )


def _find_splits(root):
    """Return the folders of the splits, by split."""
    found, others = {}, []
    for path in list_folder(root, LAYOUT):
        split = NAMES.get(path.name.lower())
        # os.path's says False where a folder may not be entered.
        holds = [os.path.isdir(path / kind) for kind in ("images", "masks")]
        if split is None and all(holds):
            others.append(path.name)
        elif path.name in SPLITS and path.is_dir() or split and any(holds):
            found.setdefault(split, []).append(path)
    for split, folders in found.items():
        if len(folders) > 1:
            raise ValueError(
                f"{root} has {shorten([path.name for path in folders])}, "
                f"which all mean `{split}`. Move all but one out of the "
                "folder, or their images into one."
            )
    if found and others:
        raise ValueError(
            f"{root} has {shorten(others)} with images/ and masks/ beside "
            f"{sorted(found)}: no name of a split. Rename it to one of "
            f"{', '.join(NAMES)}, or move it out of the folder."
        )
    return {split: found[split][0] for split in SPLITS if split in found}


def _read_csv(path, load):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} can't be read as CSV: {error}.") from error
    samples, splits = [], {}
    for line, row in enumerate(rows, 2):
        sample, split = _read_row(path, line, row, load)
        samples.append(sample)
        splits.setdefault(split, []).append(sample)
    _check_unique(path, samples)
    if None not in splits:
        _check_cases(path, splits)
        return _with_validation(splits)
    if len(splits) > 1:
        raise ValueError(
            f"{path} gives `split` on some lines and not on others. Give it "
            "on all, or on none."
        )
    return Splits(*split_by_case(samples, SHARES))


def _read_row(path, line, row, load):
    """Return the sample of a CSV's line, and its split or None."""
    if not (row.get("image") and row.get("mask")):
        raise ValueError(
            f"{path}, line {line}, names no image and mask. The first line "
            "should be `image,mask`, with `case` and `split` after them where "
            "they are known."
        )
    split = row.get("split") or None
    if split and split.lower() not in NAMES:
        raise ValueError(
            f"{path}, line {line}: `split` must be one of {SPLITS}. "
            f"Received: {split!r}"
        )
    name = row["image"]
    files = path.parent / name, path.parent / row["mask"]
    pair = functools.partial(load, *files)
    sample = Sample(name, row.get("case") or name, pair, files)
    return sample, split and NAMES[split.lower()]


def _with_validation(splits):
    if "val" not in splits:
        train = splits.get("train", ())
        splits["train"], splits["val"] = hold_out_validation(train)
    return Splits(*(tuple(splits.get(split, ())) for split in SPLITS))


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
    """Return the paths of the images in a folder, by name."""
    paths = {}
    for path in list_folder(folder, LAYOUT):
        name, suffix = split_name(path)
        if path.name.startswith(".") or suffix not in EXTENSIONS:
            continue
        if name in paths:
            raise ValueError(
                f"{paths[name]} and {path.name} have the same name. Remove "
                "one, or rename it and its partner."
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
            f"{shorten(sorted(alone))}. An image and its mask must have the "
            "same name."
        )


def _check_unique(path, samples):
    counts = collections.Counter(sample.name for sample in samples)
    if twice := sorted(name for name in counts if counts[name] > 1):
        raise ValueError(f"{path} names images twice: {shorten(twice)}.")


def _check_cases(path, splits):
    cases = [{sample.case for sample in split} for split in splits.values()]
    everyone = set().union(*cases)
    if torn := sorted(c for c in everyone if sum(c in s for s in cases) > 1):
        raise ValueError(
            f"{path} has cases in two splits: {shorten(torn)}. All images of "
            "a case belong to one split."
        )


def _check_splits(root, splits):
    sizes = {split: len(getattr(splits, split)) for split in SPLITS}
    for split, size in sizes.items():
        if not size:
            raise ValueError(
                f"{root}: no image falls to `{split}` when its "
                f"{sum(sizes.values())} images are divided into splits by "
                "name. Add images, or divide them yourself into train/, val/ "
                "and test/."
            )
