"""Whether the masks of a data set fit classes, and errors that say why not."""

import numpy as np

from dca_keras.data.archive import shorten
from dca_keras.data.classes.mapping import from_codes, show_value, to_codes

# Up to here values are taken for numbers of classes, beyond for greys.
HIGHEST_NUMBER = 63
# Of the pixels of all masks, how many may have a value that is no class's.
MOST_STRAYS = 0.2
# A pixel of a lossy file is stray if it is further from its class.
LOSSY_ROUNDING = 16
# From so many values on, files may count their objects.
FEWEST_OBJECTS = 8
CORRECT = (
    "`dca-keras data` writes what it finds to classes.json: pass a corrected "
    "file as `classes`."
)
# An area of a value: solid pixels are such a share of its own, and many.
SOLID_OF_OWN, FEWEST = 0.25, 16


def check_objects(scans, values):
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


def check_scales(scans, values):
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


def check_listed(scans, classes):
    """Raise if masks have areas of a value that `classes` does not list."""
    values = [entry.value for entry in classes.entries]
    if classes.coloured:
        values = to_codes(np.array(values))
    for scan in scans:
        area = scan.solid >= SOLID_OF_OWN * scan.counts
        area &= (scan.counts >= FEWEST) & ~np.isin(scan.values, values)
        if area.any() and not scan.lossy:
            shown = as_plain(scan.values[area][:11], scan.kind)
            raise ValueError(
                f"{scan.path} has areas of {shorten(_texts(shown))}, and "
                f"`classes` lists {_show_listed(classes)}. List them too, if "
                "need be with the index of another value."
            )


def check_strays(scans, classes):
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
    points = as_points(scan.values, classes.coloured)
    off = np.abs(points[:, None] - listed[None]).max(axis=-1).min(axis=-1)
    return scan.counts[off > (LOSSY_ROUNDING if scan.lossy else 0)].sum()


def refuse(scans, reason):
    """Raise with a reason, and the masks of fewest and of most values."""
    few = min(scans, key=lambda scan: len(scan.values))
    many = max(scans, key=lambda scan: len(scan.values))
    seen = f"{many.path} holds {_show(many)}"
    if few is not many:
        seen += f", {few.path} {_show(few)}"
    raise ValueError(f"{reason[:1].upper()}{reason[1:]}: {seen}. {CORRECT}")


def _show(scan):
    return shorten(_texts(as_plain(scan.values[:11], scan.kind)))


def _texts(values):
    return list(map(show_value, values))


def _show_listed(classes):
    return shorten(_texts(entry.value for entry in classes.entries))


def as_points(values, coloured):
    """Return values as (values, 1), colours as (values, 3)."""
    return from_codes(values) if coloured else values[:, None].astype(float)


def as_plain(values, kind):
    """Return values as JSON holds them."""
    if kind == "colour":
        return [tuple(map(int, from_codes(np.array(v)))) for v in values]
    return [int(v) if float(v).is_integer() else float(v) for v in values]
