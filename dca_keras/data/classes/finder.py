"""Find which values of a data set's masks are its classes."""

from typing import NamedTuple

import numpy as np

from dca_keras.data.classes.checks import (
    FEWEST,
    HIGHEST_NUMBER,
    LOSSY_ROUNDING,
    SOLID_OF_OWN,
    as_plain,
    as_points,
    check_listed,
    check_objects,
    check_scales,
    check_strays,
    refuse,
)
from dca_keras.data.classes.mapping import (
    Classes,
    Entry,
    generic_names,
    read_mask_values,
)
from dca_keras.data.classes.scan import MaskScan, scan_masks

MOST_CLASSES = 64
# Classes lie so far apart where masks hold other values as well, of 255.
APART, LOSSY_APART = 8, 40
# A value is a class, too, if its solid pixels are such a share of all.
SOLID_OF_ALL = 1e-3
# So many values of lossy files are looked at.
MOST_CANDIDATES = 256


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
    else:
        classes = _renumber(classes, num_classes or classes.num_classes)
        check_listed(scans, classes)
    strays = check_strays(scans, classes)
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
    if num_classes == 1 and numbers and values.tolist() == [0, 1, 255]:
        # Either way to write one class is known.
        names = generic_names(2)
        entries = ((0, names[0], 0), (1, names[1], 1), (1, names[1], 255))
        return Classes(tuple(Entry(*entry) for entry in entries), 1)
    lossy = any(scan.lossy for scan in scans)
    if len(values) > 2 and not (numbers and values[-1] <= HIGHEST_NUMBER):
        values = _find_centres(scans, coloured, lossy)
    if not coloured:
        check_objects(scans, values)
        if num_classes != len(values):
            check_scales(scans, values)
    if len(values) > MOST_CLASSES:
        refuse(scans, f"{len(values)} classes are more than {MOST_CLASSES}")
    return _name(scans, values, coloured, num_classes)


def _are_numbers(values):
    return values[0] >= 0 and bool(np.all(values == np.floor(values)))


def _find_centres(scans, coloured, lossy):
    """Return those values that are classes, sorted."""
    values, counts, solid = _add_up(scans)
    strong = solid >= SOLID_OF_OWN * counts
    if not lossy and len(values) <= MOST_CLASSES and strong.all():
        return values
    strong &= counts >= FEWEST
    points = as_points(values, coloured)
    gathered = _gather(points, solid) if lossy else solid
    frequent = gathered >= SOLID_OF_ALL * counts.sum()
    strong = frequent if lossy else strong | frequent
    span = 1 if coloured else max(1, float(values[-1] - values[0]) / 255)
    apart = (LOSSY_APART if lossy else APART) * span
    chosen = []
    # The most solid first; a stable sort leaves equal ones in their order.
    for index in np.argsort(-gathered, kind="stable"):
        off = _distance(points[chosen], points[index])
        if strong[index] and (off >= apart).all():
            chosen.append(index)
    if len(chosen) < 2:  # Lines may be too thin to be solid.
        first = chosen[0] if chosen else int(counts.argmax())
        chosen = [first, int(_distance(points, points[first]).argmax())]
    if lossy:
        chosen = _peaks(points, solid, chosen)
    return values[np.sort(chosen)]


def _add_up(scans):
    """Return the values of all masks, their counts and how many are solid."""
    values, place = np.unique(
        np.concatenate([scan.values for scan in scans]), return_inverse=True
    )
    counts, solid = (
        np.bincount(place, np.concatenate([getattr(s, name) for s in scans]))
        for name in ("counts", "solid")
    )
    return values, counts, solid


def _distance(points, point):
    return np.abs(points - point).max(axis=-1, initial=0)


def _gather(points, solid):
    """Add to the most solid values what JPEG scattered around them."""
    gathered = np.zeros_like(solid)
    for index in np.argsort(-solid, kind="stable")[:MOST_CANDIDATES]:
        near = _distance(points, points[index]) <= LOSSY_ROUNDING
        gathered[index] = solid[near].sum()
    return gathered


def _peaks(points, solid, chosen):
    """Return the most solid values near the chosen ones."""
    near = [_distance(points, points[i]) <= LOSSY_ROUNDING for i in chosen]
    return [int(np.where(own, solid, -1).argmax()) for own in near]


def _name(scans, values, coloured, num_classes):
    if len(values) == 1:
        if num_classes == 1 and not coloured:
            foreground = float(values[0]) or 1
            return Classes.of(as_plain([0, foreground], "grey"), 1)
        refuse(scans, "every pixel of every mask is the same")
    if coloured and values[0] != 0 and values[-1] == 0xFFFFFF:
        values = np.roll(values, 1)
    if num_classes is not None and max(num_classes, 2) != len(values):
        refuse(
            scans,
            f"`num_classes` is {num_classes}, and {len(values)} values with "
            "the background were found",
        )
    return Classes.of(as_plain(values, scans[0].kind), num_classes)


def _renumber(classes, num_classes):
    count = len({entry.index for entry in classes.entries})
    if max(num_classes, 2) != count:
        raise ValueError(
            f"`num_classes` is {num_classes}, and `classes` has {count} with "
            "the background. Leave `num_classes` out."
        )
    return Classes(classes.entries, num_classes)
