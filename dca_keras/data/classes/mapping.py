"""Which values or colours of mask files stand for which class."""

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dca_keras.data.decoding import is_grey, look_up
from dca_keras.data.formats import read_pixels

# Channels of a lossy file in grey differ by less.
GREY_DIFFERENCE = 48
FOREGROUND = "foreground"


class Entry(NamedTuple):
    """A value of mask files, a number or (red, green, blue), and its class."""

    index: int
    name: str
    value: float | tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Classes:
    """The class that each value or colour of a data set's masks stands for.

    Several values may be of one class; what has index 0 is background. A
    value that is not listed counts as the nearest one.

    Attributes:
        entries: An `Entry` for every value.
        num_classes: 1, or the number of classes with the background.

    Raises:
        ValueError: If indices leave out a number, a value occurs twice, or
            values and colours are mixed.
    """

    entries: tuple[Entry, ...]
    num_classes: int

    def __post_init__(self):
        indices = sorted({entry.index for entry in self.entries})
        highest = max(2, self.num_classes)
        if indices != list(range(len(indices))) or len(indices) > highest:
            raise ValueError(
                f"the indices must be 0 to {highest - 1} without a gap, and "
                f"are {indices}"
            )
        values = [entry.value for entry in self.entries]
        if len({isinstance(value, tuple) for value in values}) != 1:
            raise ValueError("all must be values, or all of them colours")
        if len(set(values)) < len(values):
            raise ValueError("a value or colour is listed twice")

    @classmethod
    def of(cls, values, num_classes=None):
        """Return classes of values in the order of their indices."""
        if num_classes is None:
            num_classes = 1 if len(values) == 2 else len(values)
        names = generic_names(len(values))
        entries = zip(range(len(values)), names, values, strict=True)
        return cls(tuple(Entry(*entry) for entry in entries), num_classes)

    @property
    def coloured(self):
        """Whether a class is a colour of the masks, not a value."""
        return isinstance(self.entries[0].value, tuple)

    @property
    def class_names(self):
        """Names of the classes 1, 2, …; None if nobody gave them any."""
        names = {entry.index: entry.name for entry in self.entries[::-1]}
        names = tuple(names[index] for index in sorted(names))[1:]
        generic = (f"class {index}" for index in range(1, len(names) + 1))
        return None if names in (tuple(generic), (FOREGROUND,)) else names

    def to_dict(self):
        """Return what `classes.json` holds."""
        return {
            "num_classes": self.num_classes,
            "classes": [
                {"index": entry.index, "name": entry.name}
                | (
                    {"colour": show_value(entry.value)}
                    if self.coloured
                    else {"value": entry.value}
                )
                for entry in self.entries
            ],
        }

    @classmethod
    def read(cls, path):
        """Read a file such as `dca-keras data` writes.

        Raises:
            ValueError: If it can't be read. It names the file.
        """
        try:
            found = json.loads(Path(path).expanduser().read_text("utf-8"))
            entries = tuple(map(_read_entry, found["classes"]))
            count = len({entry.index for entry in entries})
            if count < 2:
                raise ValueError("it needs two classes or more")
            num_classes = found.get("num_classes")
            if num_classes is None or max(num_classes, 2) != count:
                num_classes = 1 if count == 2 else count
            return cls(entries, num_classes)
        except (OSError, ValueError, LookupError, TypeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(
                f"{path} can't be read as classes: {reason}. `dca-keras data` "
                "writes such a file; each of its classes has an index, a name "
                'and a value, or a colour such as "#ff0000".'
            ) from error

    def mask(self, path, stack=False):
        """Read a mask file as class indices.

        Args:
            path: The file.
            stack: Whether it may be a volume.

        Returns:
            An int32 array (height, width, 1), or (depth, height, width, 1).

        Raises:
            ValueError: If the file can't be read, or is coloured where the
                classes are values. It names the file.
        """
        return self.indices(read_mask_values(path, stack), path)

    def indices(self, found, path):
        """Return the class indices of a file's `MaskValues`."""
        if self.coloured:
            codes = to_codes(found.colours)
            listed = [to_codes(np.array(e.value)) for e in self.entries]
            return self._assign(codes, listed, _nearest_colour)[..., None]
        if found.values is None:
            raise ValueError(
                f"{path} is coloured, and the classes are values. Save it as "
                "the others are, or list colours in the file of `classes`."
            )
        listed = [entry.value for entry in self.entries]
        return self._assign(found.values, listed, _nearest_value)

    def _assign(self, values, listed, nearest):
        order = np.argsort(listed)
        listed = np.asarray(listed)[order]
        index = np.array([entry.index for entry in self.entries], "int32")
        index = index[order]
        if values.dtype in ("uint8", "uint16"):
            table = np.arange(np.iinfo(values.dtype).max + 1)
            return np.take(index[nearest(table, listed)], values)
        place = np.searchsorted(listed, values).clip(max=len(listed) - 1)
        other = listed[place] != values
        if other.any():
            place[other] = nearest(values[other], listed)
        return index[place]


class MaskValues(NamedTuple):
    """What a mask file holds.

    Attributes:
        values: Its grey values or a palette's indices, (…, 1); None for a
            file in colour.
        colours: Its colours, uint8 (…, 3); None for 16 bits and volumes.
        palette: Whether `values` are indices of coloured entries.
        lossy: Whether it is a JPEG.
    """

    values: np.ndarray | None
    colours: np.ndarray | None
    palette: bool
    lossy: bool


def read_mask_values(path, stack=False):
    """Read a mask file as it is. Raises `ValueError` that names it."""
    values, palette, lossy = read_pixels(path, stack=stack, channels=1)
    if palette is not None:
        colours = look_up(palette, values)
        if is_grey(palette):  # Black and white may well be white first.
            return MaskValues(colours[..., :1], colours, False, lossy)
        return MaskValues(values, colours, True, lossy)
    if values.dtype.kind == "b":
        values = values.astype("uint8")
    if values.shape[-1] == 3 and not _is_nearly_grey(values, lossy):
        if values.dtype != "uint8":
            raise ValueError(
                f"{path} is a coloured mask of {values.dtype}. Save it with "
                "8 bits a channel."
            )
        return MaskValues(None, values, False, lossy)
    values = values[..., :1]
    colours = None
    if values.dtype == "uint8" and values.ndim == 3:
        colours = np.broadcast_to(values, (*values.shape[:-1], 3))
    return MaskValues(values, colours, False, lossy)


def generic_names(count):
    """Return the names of classes of which only the values are known."""
    if count == 2:
        return ["background", FOREGROUND]
    return ["background", *(f"class {index}" for index in range(1, count))]


def show_value(value):
    """Return a value or colour as text, a colour as #rrggbb."""
    if isinstance(value, tuple):
        return "#{:02x}{:02x}{:02x}".format(*value)
    return f"{value:g}"


def to_codes(colours):
    """Return colours (…, 3) as integers 0xRRGGBB."""
    colours = colours.astype("int32")
    return colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]


def from_codes(codes):
    """Return integers 0xRRGGBB as colours (…, 3)."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)


def _is_nearly_grey(values, lossy):
    if not lossy:
        return is_grey(values)
    low, high = values.min(axis=-1), values.max(axis=-1)
    return int((high - low).max()) <= GREY_DIFFERENCE


def _nearest_value(values, listed):
    """Return the places of the nearest of sorted values; in the middle, up."""
    return np.searchsorted((listed[1:] + listed[:-1]) / 2, values, "right")


def _nearest_colour(codes, listed):
    unique, inverse = np.unique(codes, return_inverse=True)
    off = from_codes(unique)[:, None] - from_codes(listed)[None]
    return np.square(off).sum(axis=-1).argmin(axis=-1)[inverse.ravel()]


def _read_entry(entry):
    index, name = entry["index"], entry.get("name")
    if type(index) is not int:
        raise ValueError(f"an index must be an integer and is {index!r}")
    if name is None:
        name = "background" if index == 0 else f"class {index}"
    if "colour" in entry:
        text = str(entry["colour"]).removeprefix("#")
        if len(text) != 6:
            raise ValueError(f"a colour is #rrggbb, not {entry['colour']!r}")
        return Entry(index, str(name), tuple(bytes.fromhex(text)))
    value = entry["value"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a value must be a number and is {value!r}")
    return Entry(index, str(name), value)
