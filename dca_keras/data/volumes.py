"""Read NIfTI files into arrays of rows and columns, and write them."""

import contextlib
import functools
import threading
from typing import NamedTuple

import numpy as np

from dca_keras._extras import import_extra
from dca_keras.data.grids import Grid
from dca_keras.data.guards import check_size, scale


def read_volume(path):
    """Read a NIfTI volume.

    The last few volumes are cached, so that reading one slice by slice is
    fast. Threads read different volumes in parallel.

    Returns:
        A read-only array (depth, height, width) of the stored values, ordered
        from feet to head, front to back, and the patient's right to left.

    Raises:
        ValueError: If it can't be read. It names the file.
    """
    with _looking_up:
        volume = _cached_volume(path)
    return volume.values()


class _CachedVolume:
    """A volume that the first thread to ask for it reads."""

    def __init__(self, path):
        self._path = path
        self._values = None
        self._reading = threading.Lock()

    def values(self):
        with self._reading:
            if self._values is None:
                self._values = _read_volume(self._path)
            return self._values


_looking_up = threading.Lock()
_cached_volume = functools.lru_cache(maxsize=4)(_CachedVolume)


def _read_volume(path):
    with naming(path):
        file = open_nifti(path)
        if file.channels:
            raise ValueError(
                f"its shape is {file.image.shape}, not that of a volume"
            )
        values = file.values()
        if values.dtype == "float64":
            values = values.astype("float32")
        values = file.grid.as_stack(values)
    values.flags.writeable = False
    return values


def volume_header(path):
    """Return a volume's (depth, height, width) and the millimetres of a voxel.

    Raises:
        ValueError: If the file can't be read. It names the file.
    """
    with naming(path):
        grid = open_nifti(path).grid
        return grid.stack_shape, grid.spacing


def read_nifti(path, scaled=False, intensities=None):
    """Read a NIfTI file.

    Args:
        path: The file.
        scaled: Whether to map its values to [0, 1]. Unsigned integers and
            values within [0, 1] are left as they are; others are mapped from
            the file's lowest to its highest value.
        intensities: Instead, the two values that become 0 and 1.

    Returns:
        An array (height, width, channels) of one slice, or (depth, height,
        width, channels) of a volume, ordered as by `read_volume`. The
        channels are the file's fourth axis.
    """
    file = open_nifti(path)
    values = file.grid.as_seen(file.values())
    if not file.channels:
        values = values[..., None]
    if values.dtype.kind not in "buif":
        raise ValueError(f"its values are {values.dtype}, not numbers")
    if not scaled:
        return values
    if intensities is not None:
        return scale(values, *intensities)
    if values.dtype in ("uint8", "uint16"):
        return values
    values = values.astype("float32")
    low, high = values.min(), values.max()
    if 0 <= low and high <= 1:
        return values
    return scale(values, low, max(high, low + np.finfo("float32").tiny))


def write_nifti(path, values, like, stack=False):
    """Write values on the grid of another NIfTI file.

    Args:
        path: The file to write.
        values: Array ordered as by `read_nifti`, with an axis of classes or
            without.
        like: The file whose affine and header are used.
        stack: Whether `values` are ordered as by `read_volume`: a single
            slice is then a stack of one.
    """
    file = open_nifti(like)
    source, shape = file.image, file.grid.shape
    classes = values.shape[2 if 1 in shape and not stack else 3 :]
    stored = np.empty((*shape, *classes), values.dtype)
    see = file.grid.as_stack if stack else file.grid.as_seen
    see(stored)[...] = values
    if not classes and not file.channels:
        stored = stored.reshape(source.shape)
    header = source.header.copy()
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0  # They are the scan's.
    type(source)(stored, source.affine, header).to_filename(path)


class NiftiFile(NamedTuple):
    """A NIfTI file whose values are not read yet."""

    image: object  # nibabel's
    grid: Grid
    channels: tuple[int, ...]  # a fourth axis, if there is one

    def values(self, dtype=None):
        """Return the stored values (*grid.shape, *channels)."""
        values = np.asarray(self.image.dataobj, dtype)
        return values.reshape(*self.grid.shape, *self.channels)


def open_nifti(path):
    """Open a NIfTI file of three axes, or of four with channels."""
    image = _nibabel().load(path)
    check_size(*map(int, image.shape))
    # The fourth axis is time, and vectors have a fifth.
    more = tuple(side for side in image.shape[3:] if side != 1)
    if len(image.shape) < 2 or len(more) > 1:
        raise ValueError(f"its shape is {image.shape}, not that of a volume")
    shape = (*image.shape, 1)[:3]
    zooms = (*image.header.get_zooms(), 1.0)[:3]
    return NiftiFile(image, Grid(shape, image.affine, zooms), more)


@contextlib.contextmanager
def naming(path):
    """Raise what goes wrong inside as a `ValueError` that names a file."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # Decoders raise anything on broken bytes.
        raise ValueError(
            f"{path} can't be read as a volume: {error}. Replace the file, or "
            "remove it from the folder."
        ) from error


def _nibabel():
    return import_extra("nibabel", extra="volumes", purpose="Reading NIfTI")
