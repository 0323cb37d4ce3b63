"""Count what the mask files of a data set hold."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from dca_keras.data.classes.mapping import read_mask_values, to_codes

# The neighbours of a pixel in a lossy file may differ by so much.
LOSSY_STEP = 8
# A file of more values is no mask; the rest is left out.
KEPT_VALUES = 4096
THREADS = 8


class MaskScan(NamedTuple):
    """What one mask file holds.

    Attributes:
        path: The file.
        sides: Its height and width, after the depth of a volume.
        kind: "grey", "palette" or "colour".
        values: Its values, sorted; colours as 0xRRGGBB.
        counts: How many pixels have each.
        solid: How many of them begin a block of 2x2 pixels with that value.
            Values between classes, in blurred edges, have hardly any.
        codes: The colours of `values`, as 0xRRGGBB; None for 16 bits and
            volumes.
        lossy: Whether it is a JPEG.
    """

    path: object
    sides: tuple[int, ...]
    kind: str
    values: np.ndarray
    counts: np.ndarray
    solid: np.ndarray
    codes: np.ndarray | None
    lossy: bool


def scan_masks(paths, read=read_mask_values):
    """Scan every file that can be read; loading the others says why not.

    Args:
        paths: The files, or anything that `read` takes.
        read: Returns the `MaskValues` of one.

    Returns:
        A list of `MaskScan`.
    """

    def scan(path):
        try:
            return _scan(path, read(path))
        except ValueError:
            return None

    with ThreadPoolExecutor(THREADS) as pool:
        return [found for found in pool.map(scan, paths) if found]


def _scan(path, found):
    if found.values is None:
        kind, values = "colour", to_codes(found.colours)
    else:
        kind = "palette" if found.palette else "grey"
        values = found.values[..., 0]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{path} holds NaN or infinity. Save it again.")
    solid = _solid(found, values)
    unique, counts, solids = _count(values.ravel(), solid.ravel())
    if len(unique) > KEPT_VALUES:
        kept = np.sort(np.argsort(-counts, kind="stable")[:KEPT_VALUES])
        unique, counts, solids = unique[kept], counts[kept], solids[kept]
    codes = _codes(kind, found, values, unique)
    return MaskScan(
        path, values.shape, kind, unique, counts, solids, codes, found.lossy
    )


def _codes(kind, found, values, unique):
    if kind == "colour":
        return unique
    if kind == "palette":
        table = np.zeros(256, "int32")
        table[values.ravel()] = to_codes(found.colours).ravel()
        return table[unique]
    return (
        unique.astype("int32") * 0x010101 if values.dtype == "uint8" else None
    )


def _solid(found, values):
    """Return which pixels begin a block of 2x2 alike ones."""
    layers = [values]
    if found.lossy:
        pixels = found.colours if found.values is None else found.values
        layers = np.moveaxis(pixels.astype("int16"), -1, 0)
    solid = np.zeros(values.shape, bool)
    inner = solid[..., :-1, :-1]
    inner[...] = True
    for layer in layers:
        first = layer[..., :-1, :-1]
        for other in (
            layer[..., 1:, :-1],
            layer[..., :-1, 1:],
            layer[..., 1:, 1:],
        ):
            if found.lossy:
                inner &= np.abs(other - first) <= LOSSY_STEP
            else:
                inner &= other == first
    return solid


def _count(values, solid):
    """Return the sorted values, their counts and how many are solid."""
    if values.dtype in ("uint8", "uint16"):
        counts = np.bincount(values)
        unique = np.flatnonzero(counts)
        solids = np.bincount(values[solid], minlength=len(counts))
        return unique.astype(values.dtype), counts[unique], solids[unique]
    # Masks have long runs of one value.
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    lengths = np.diff(np.r_[starts, values.size])
    unique, place = np.unique(values[starts], return_inverse=True)
    solids = np.add.reduceat(solid.astype("int64"), starts)
    return (
        unique,
        np.bincount(place, lengths).astype("int64"),
        np.bincount(place, solids).astype("int64"),
    )
