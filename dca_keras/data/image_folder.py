"""A user's own images: folders of images and masks, or a CSV of pairs."""

import functools
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dca_keras.data.archive import shorten
from dca_keras.data.classes.finder import find_classes
from dca_keras.data.classes.mapping import Classes, read_mask_values
from dca_keras.data.cross_validation import take_fold
from dca_keras.data.decoding import check_channels
from dca_keras.data.pairs.csv_file import read_csv
from dca_keras.data.pairs.listing import SPLITS
from dca_keras.data.pairs.loading import (
    THREADS,
    are_volumes,
    find_channels,
    find_modality,
    load_images,
    load_volume,
    read_headers,
    read_spacing,
    read_volume_values,
)
from dca_keras.data.pairs.pairing import find_pairs
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import (
    Sample,
    Splits,
    hold_out_validation,
    split_by_case,
)

SHARES = (0.7, 0.15, 0.15)


@register_dataset("image_folder")
def read_image_folder(
    data_dir,
    *,
    channels=None,
    num_classes=None,
    classes=None,
    case_pattern=None,
    fold=None,
    images=None,
    masks=None,
    modality=None,
):
    """Read a folder of images and masks, or a CSV file of pairs.

    Folders called images, imgs, … and masks, labels, annotations, gt,
    ground_truth, … hold the two kinds, or their names tell them apart. The
    two names differ by one beginning or ending, the same for all, or not at
    all; extensions may differ. Folders may be nested.

        data_dir/images/a.jpg            data_dir/a.png
        data_dir/masks/a.png             data_dir/a_mask.png

        data_dir/train/images/a.jpg      data_dir/images/train/a.jpg
        data_dir/train/masks/a.png       data_dir/masks/train/a.png
        data_dir/val/…, data_dir/test/…

    In the first row, a hash of the names assigns 70 % of the cases to train,
    15 % to val and 15 % to test. In the second, 15 % of `train/` become val,
    chosen likewise, if there is no `val/`. `training/`, `validation/`,
    `valid/`, `dev/` and `testing/` do as well.

    A CSV file has a line for every pair, with paths from its own folder:

        image,mask,case,split
        scans/7.dcm,drawn/7.png,patient 3,train

    Without `case` every image is a case; without `split` the cases are
    divided as in the first row, and without any `val` as in the second.

    NIfTI files of several slices, and folders of a DICOM series, are volumes
    in the files' own values. `CASE_0000` and `CASE_0001` are two channels of
    one image whose mask is `CASE`.

    Args:
        data_dir: The folder, or the CSV file.
        channels: What images are converted to, 1 or 3, or the number that
            they have; None is what they have.
        num_classes: 1, or the number of classes with the background; None is
            what the masks hold, see `find_classes`.
        classes: A file of classes, as `dca-keras data` writes it; None finds
            them.
        case_pattern: A regular expression that finds a case in the path of
            an image below `data_dir`: its first group, or else all of what
            it matches. None makes every image a case.
        fold: "K/N" to test on fold K of N, see `take_fold`. A split for
            testing that folders give is left out.
        images: A folder below `data_dir`, or a pattern of names, of images.
        masks: The same of masks.
        modality: What volumes were taken with, such as CT; None is what
            DICOM says, and MRI otherwise.

    Returns:
        The `Splits`. `classes` has, beside the classes, the rule that pairs
        files and the share of the pixels whose value is no class's.

    Raises:
        ValueError: If folders, images or masks are missing, names or classes
            are ambiguous, a case is in two splits or a split is empty. It
            names the path and what to do.
    """
    root = Path(data_dir).expanduser()
    check_channels(channels)
    if root.suffix.lower() == ".csv":
        found = read_csv(root)
    else:
        found = find_pairs(root, images, masks)
    if case_pattern is not None:
        found = _find_cases(root, found, case_pattern)
    parts = _divide(root, found.pairs, fold)
    _check_splits(root, parts)
    load, spacings, facts = _read_files(
        root, found, channels, num_classes, classes, modality
    )
    samples = {
        pair.name: Sample(
            pair.name,
            pair.case,
            functools.partial(load, pair.images, pair.mask),
            (*pair.images, pair.mask),
            spacings.get(pair.name),
        )
        for pair in found.pairs
    }
    parts = [tuple(samples[pair.name] for pair in part) for part in parts]
    return Splits(*parts, **facts)


def _read_files(root, found, channels, num_classes, classes, modality):
    """Return how pairs are loaded, their spacings, and facts of `Splits`."""
    pairs = found.pairs
    headers = read_headers(pairs)
    volumes = are_volumes(root, headers)
    known = None if classes is None else Classes.read(classes)
    read = read_volume_values if volumes else read_mask_values
    masks = [pair.mask for pair in pairs]
    fit = find_classes(masks, num_classes, known, read)
    images = {pair.mask: pair.images[0] for pair in pairs}
    sides = {images[scan.path]: scan.sides for scan in fit.scans}
    own = find_channels(headers, sides)
    if volumes and channels not in (None, own):
        raise ValueError(
            f"`channels` must be {own} for the volumes in {root}, or left "
            f"out. Received: {channels}"
        )
    facts = {
        "channels": channels or own,
        "num_classes": fit.classes.num_classes,
        "class_names": fit.classes.class_names,
        "classes": fit.classes.to_dict()
        | {
            "pairs": found.rule,
            "left_out": list(found.left_out),
            "strays": fit.strays,
            "jpeg_masks": fit.lossy,
        },
    }
    if not volumes:
        load = functools.partial(
            load_images, channels=channels or own, classes=fit.classes
        )
        return load, {}, facts
    modality = modality or find_modality(pairs)
    facts["modalities"] = (modality,) * own
    with ThreadPoolExecutor(THREADS) as pool:
        spacings = pool.map(read_spacing, pairs)
        names = (pair.name for pair in pairs)
        spacings = dict(zip(names, spacings, strict=True))
    load = functools.partial(load_volume, classes=fit.classes)
    return load, spacings, facts


def _find_cases(root, found, pattern):
    """Return pairs whose cases are what a pattern finds in their paths."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"`case_pattern` is no regular expression: {error}. Received: "
            f"{pattern!r}"
        ) from error
    if any(pair.case != pair.name for pair in found.pairs):
        raise ValueError(
            f"`case_pattern` must be left out: {root} has a column `case`."
        )
    matches = [expression.search(pair.relative) for pair in found.pairs]
    both = list(zip(found.pairs, matches, strict=True))
    if missing := [pair.relative for pair, match in both if match is None]:
        raise ValueError(
            f"`case_pattern` {pattern!r} finds no case in {len(missing)} of "
            f"{len(matches)} images in {root}: {shorten(missing)}. Correct it."
        )
    group = 1 if expression.groups else 0
    pairs = [
        pair._replace(case=match[group] or match[0]) for pair, match in both
    ]
    return found._replace(pairs=tuple(pairs))


def _divide(root, pairs, fold):
    """Return the pairs to train on, to validate on and to test on."""
    parts = {
        split: tuple(pair for pair in pairs if pair.split == split)
        for split in SPLITS
    }
    given = any(parts.values())
    if given:
        _check_cases(root, parts)
    if fold is not None:
        pairs = parts["train"] + parts["val"] if given else pairs
        folder = root.parent if root.suffix.lower() == ".csv" else root
        return take_fold(pairs, fold, folder)
    if not given:
        return split_by_case(pairs, SHARES)
    if not parts["val"]:
        parts["train"], parts["val"] = hold_out_validation(parts["train"])
    return tuple(parts.values())


def _check_cases(root, parts):
    cases = [{pair.case for pair in part} for part in parts.values()]
    everyone = set().union(*cases)
    if torn := sorted(c for c in everyone if sum(c in s for s in cases) > 1):
        raise ValueError(
            f"{root} has cases in two splits: {shorten(torn)}. All images of "
            "a case belong to one split."
        )


def _check_splits(root, parts):
    for split, part in zip(SPLITS, parts, strict=True):
        if not part:
            raise ValueError(
                f"{root}: no image falls to `{split}` when its "
                f"{sum(map(len, parts))} images are divided into splits by "
                "name. Add images, so that there are three cases or more, or "
                "divide them yourself into train/, val/ and test/."
            )
