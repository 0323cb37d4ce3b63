"""Pairs of images and masks that a CSV file lists."""

import collections
import csv

from dca_keras.data.archive import shorten
from dca_keras.data.pairs.listing import NAMES, SPLITS
from dca_keras.data.pairs.pairing import Pair, Pairs


def read_csv(path):
    """Read a CSV file of pairs.

    Args:
        path: The file. Its columns are `image`, `mask` and, where they are
            known, `case` and `split`.

    Returns:
        The `Pairs`.

    Raises:
        ValueError: If the file can't be read, a line is not complete, an
            image is named twice, or only some lines name a split.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} can't be read as CSV: {error}.") from error
    pairs = [_read_row(path, line, row) for line, row in enumerate(rows, 2)]
    counts = collections.Counter(pair.name for pair in pairs)
    if twice := sorted(name for name in counts if counts[name] > 1):
        raise ValueError(f"{path} names images twice: {shorten(twice)}.")
    if len({pair.split is None for pair in pairs}) > 1:
        raise ValueError(
            f"{path} gives `split` on some lines and not on others. Give it "
            "on all, or on none."
        )
    return Pairs(tuple(pairs), f"as {path.name} lists them")


def _read_row(path, line, row):
    """Return the pair of a line."""
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
    return Pair(
        name,
        row.get("case") or name,
        split and NAMES[split.lower()],
        (path.parent / name,),
        path.parent / row["mask"],
        name,
    )
