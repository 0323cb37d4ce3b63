"""Find which values of a data set's masks are its classes."""

from typing import NamedTuple

import numpy as np

from dca_keras.data.archive import shorten
from dca_keras.data.classes import (
    Classes,
    from_codes,
    read_mask_values,
    show_value,
)
from dca_keras.data.mask_scan import MaskScan, scan_masks

MOST_CLASSES = 64
# Up to here values are taken for numbers of classes, beyond for greys.
HIGHEST_NUMBER = 63
# Of the pixels of all masks, how many may have a value that is no class's.
MOST_STRAYS = 0.2
# Classes lie so far apart where masks hold other values as well, of 255.
APART, LOSSY_APART = 8, 40
# A pixel of a lossy file is stray if it is further from its class.
LOSSY_ROUNDING = 16
# A value is a class if its solid pixels are such a share of its own, or
# of all.
SOLID_OF_OWN, SOLID_OF_ALL, FEWEST = 0.25, 1e-3, 16
# So many values of lossy files are looked at.
MOST_CANDIDATES = 256
# From so many values on, files may count their objects.
FEWEST_OBJECTS = 8
CORRECT = (
    "`dca-keras data` writes what it finds to classes.json: pass a corrected "
    "file as `classes`."
)


class Found(NamedTuple):
    """The classes of a data set, and how well its masks fit them.

    Attributes:
        classes: The `Classes`.
        strays: The share of the pixels whose value is no class's.
        lossy: The number of masks that are JPEG files.
        scans: A `MaskScan` for every file that could be read.
    """

    classes: Classes
    strays: float
    lossy: int
    scans: tuple[MaskScan, ...]


def find_classes(paths, num_classes=None, classes=None, read=read_mask_values):
    """Find the classes of a data set's masks.

    Two values are background and foreground: 0, or the lower one, is the
    background. Several become the classes 0, 1, 2, … in ascending order.
    Colours are ordered by red, green and blue; black is the background, and
    white where there is no black. Values that occur along edges only, and
    the scatter of JPEG files, count as the nearest class.

    Args:
        paths: The mask files, or anything that `read` takes.
        num_classes: How many there must be; None takes what is found.
        classes: `Classes` that are known already.
        read: Returns the `MaskValues` of one of `paths`.

    Returns:
        A `Found`.

    Raises:
        ValueError: If classes can't be told for sure, or are others than
            expected. It names files and what to do.
    """
    scans = scan_masks(paths, read)
    coloured = _are_colours(scans) if classes is None else classes.coloured
    scans = [_view(scan, coloured) for scan in scans]
    if classes is None:
        classes = _choose(scans, coloured, num_classes)
    elif num_classes is not None:
        classes = _renumber(classes, num_classes)
    strays = _check_strays(scans, classes)
    lossy = sum(scan.lossy for scan in scans)
    return Found(classes, strays, lossy, tuple(scans))


def _are_colours(scans):
    """Whether colours tell classes apart, and not values or indices."""
    if any(scan.kind == "colour" for scan in scans):
        return True
    table = {}
    return any(
        table.setdefault(index, code) != code
        for scan in scans
        if scan.kind == "palette"
        for index, code in zip(scan.values, scan.codes, strict=True)
    )


def _view(scan, coloured):
    """Return a scan whose values are what tells the classes apart."""
    if not coloured:
        if scan.kind == "colour":
            raise ValueError(
                f"{scan.path} is coloured, and `classes` lists values. List "
                "colours there."
            )
        return scan
    if scan.codes is None:
        raise ValueError(
            f"{scan.path} holds {scan.values.dtype} values, and other masks "
            "are coloured. Save all in one form."
        )
    codes, place = np.unique(scan.codes, return_inverse=True)
    counts, solid = (
        np.bincount(place, n).astype("int64") for n in (scan.counts, scan.solid)
    )
    return scan._replace(
        kind="colour", values=codes, counts=counts, solid=solid
    )


def _choose(scans, coloured, num_classes):
    if not scans:  # No mask can be read; loading them says why.
        return Classes.of(list(range(max(2, num_classes or 1))), num_classes)
    values = np.unique(np.concatenate([scan.values for scan in scans]))
    numbers = not coloured and _are_numbers(values)
    if (num_classes or 0) > 1 and numbers and values[-1] < num_classes:
        return Classes.of(list(range(num_classes)), num_classes)
    lossy = any(scan.lossy for scan in scans)
    if len(values) > 2 and not (numbers and values[-1] <= HIGHEST_NUMBER):
        values = _find_centres(scans, coloured, lossy)
    if not coloured:
        _check_objects(scans, values)
        if num_classes != len(values):
            _check_scales(scans, values)
    if len(values) > MOST_CLASSES:
        _refuse(scans, f"{len(values)} classes are more than {MOST_CLASSES}")
    return _name(scans, values, coloured, num_classes)


def _are_numbers(values):
    return values[0] >= 0 and bool(np.all(values == np.floor(values)))


def _find_centres(scans, coloured, lossy):
    """Return those values that are classes, sorted."""
    values, place = np.unique(
        np.concatenate([scan.values for scan in scans]), return_inverse=True
    )
    counts, solid = (
        np.bincount(place, np.concatenate([getattr(s, name) for s in scans]))
        for name in ("counts", "solid")
    )
    strong = solid >= SOLID_OF_OWN * counts
    if not lossy and len(values) <= MOST_CLASSES and strong.all():
        return values
    strong &= counts >= FEWEST
    points = _points(values, coloured)
    raw = solid
    if lossy:
        solid = _gather(points, raw)
        strong &= solid >= SOLID_OF_ALL * counts.sum()
    strong |= solid >= SOLID_OF_ALL * counts.sum()
    span = 1 if coloured else max(1, float(values[-1] - values[0]) / 255)
    apart = (LOSSY_APART if lossy else APART) * span
    chosen = []
    # The most solid first; a stable sort leaves equal ones in their order.
    for index in np.argsort(-solid, kind="stable"):
        off = np.abs(points[chosen] - points[index]).max(axis=-1, initial=0)
        if strong[index] and (off >= apart).all():
            chosen.append(index)
    if len(chosen) < 2:  # Lines may be too thin to be solid.
        first = chosen[0] if chosen else int(counts.argmax())
        off = np.abs(points - points[first]).max(axis=-1)
        chosen = [first, int(off.argmax())]
    if lossy:
        chosen = _peaks(points, raw, chosen)
    return values[np.sort(chosen)]


def _gather(points, solid):
    """Add to the most solid values what JPEG scattered around them."""
    gathered = np.zeros_like(solid)
    for index in np.argsort(-solid, kind="stable")[:MOST_CANDIDATES]:
        off = np.abs(points - points[index]).max(axis=-1)
        gathered[index] = solid[off <= LOSSY_ROUNDING].sum()
    return gathered


def _peaks(points, solid, chosen):
    """Return the most solid values near the chosen ones."""
    near = [np.abs(points - points[i]).max(axis=-1) for i in chosen]
    return [
        int(np.where(off <= LOSSY_ROUNDING, solid, -1).argmax()) for off in near
    ]


def _points(values, coloured):
    """Return values as (values, 1), colours as (values, 3)."""
    return from_codes(values) if coloured else values[:, None].astype(float)


def _check_objects(scans, values):
    """Raise if files seem to number their objects."""
    if len(values) <= FEWEST_OBJECTS:
        return
    runs = {}
    for scan in scans:
        own = scan.values[scan.values > 0]
        if own.size and own[0] == 1 and own[-1] == own.size:
            runs.setdefault(own.size, scan)
        elif own.size:
            return
    if len(runs) < max(3, len(scans) / 4):
        return
    few, many = runs[min(runs)], runs[max(runs)]
    raise ValueError(
        f"{few.path} holds the values up to {few.values[-1]}, {many.path} up "
        f"to {many.values[-1]}: they seem to number objects and not classes. "
        "Save masks of classes. If they are classes, pass `num_classes`."
    )


def _check_scales(scans, values):
    """Raise if files seem to write one class in two ways."""
    if values[-1] <= HIGHEST_NUMBER or len(values) < 3:
        return
    foreground = values[1:]
    scale = np.digitize(foreground, [HIGHEST_NUMBER + 1, 256])
    what = scale if len(set(scale)) > 1 else foreground
    holds = [np.isin(foreground, scan.values) for scan in scans]
    if any(len(set(what[own])) > 1 for own in holds):
        return
    one, other = (
        next(s for s, own in zip(scans, holds, strict=True) if own[place])
        for place in (0, -1)
    )
    raise ValueError(
        f"{one.path} holds {_show(one)}, {other.path} {_show(other)}, and no "
        "mask both: is that one class or two? Save all masks with the same "
        "values, or list both in a file of `classes`, with one index or two."
    )


def _name(scans, values, coloured, num_classes):
    if len(values) == 1:
        if num_classes == 1 and not coloured:
            foreground = float(values[0]) or 1
            return Classes.of(_plain([0, foreground], "grey"), 1)
        _refuse(scans, "every pixel of every mask is the same")
    if coloured and values[0] != 0 and values[-1] == 0xFFFFFF:
        values = np.roll(values, 1)
    if num_classes is not None and max(num_classes, 2) != len(values):
        _refuse(
            scans,
            f"`num_classes` is {num_classes}, and {len(values)} values with "
            "the background were found",
        )
    return Classes.of(_plain(values, scans[0].kind), num_classes)


def _plain(values, kind):
    """Return values as JSON holds them."""
    if kind == "colour":
        return [tuple(map(int, from_codes(np.array(v)))) for v in values]
    return [int(v) if float(v).is_integer() else float(v) for v in values]


def _renumber(classes, num_classes):
    count = len({entry.index for entry in classes.entries})
    if max(num_classes, 2) != count:
        raise ValueError(
            f"`num_classes` is {num_classes}, and `classes` has {count} with "
            "the background. Leave `num_classes` out."
        )
    return Classes(classes.entries, num_classes)


def _check_strays(scans, classes):
    """Return the share of stray pixels if they are few enough."""
    listed = np.array([entry.value for entry in classes.entries], float)
    listed = listed.reshape(len(listed), -1)
    if not scans:
        return 0.0
    strays = np.array([_count_strays(scan, listed, classes) for scan in scans])
    pixels = np.array([scan.counts.sum() for scan in scans])
    share = float(strays.sum() / pixels.sum())
    if share > MOST_STRAYS:
        shares = strays / pixels
        worst, best = scans[shares.argmax()], scans[shares.argmin()]
        raise ValueError(
            f"{share:.0%} of the masks' pixels have none of the classes' "
            f"values, {_show_listed(classes)}: {worst.path} holds "
            f"{_show(worst)}"
            + (f", {best.path} {_show(best)}" if best is not worst else "")
            + ". Are these masks? Save each class with one value. "
            + CORRECT
        )
    return share


def _count_strays(scan, listed, classes):
    points = _points(scan.values, classes.coloured)
    off = np.abs(points[:, None] - listed[None]).max(axis=-1).min(axis=-1)
    return scan.counts[off > (LOSSY_ROUNDING if scan.lossy else 0)].sum()


def _refuse(scans, reason):
    few = min(scans, key=lambda scan: len(scan.values))
    many = max(scans, key=lambda scan: len(scan.values))
    seen = f"{many.path} holds {_show(many)}"
    if few is not many:
        seen += f", {few.path} {_show(few)}"
    raise ValueError(f"{reason[:1].upper()}{reason[1:]}: {seen}. {CORRECT}")


def _show(scan):
    return shorten(list(map(show_value, _plain(scan.values[:11], scan.kind))))


def _show_listed(classes):
    return shorten([show_value(entry.value) for entry in classes.entries])
