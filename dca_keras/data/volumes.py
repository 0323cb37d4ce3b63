"""Read NIfTI files into arrays of rows and columns, and write them."""

import contextlib
import functools
import threading

import numpy as np

from dca_keras._extras import import_extra
from dca_keras.data.guards import check_size, scale

_reading = threading.Lock()


def read_volume(path):
    """Read a NIfTI volume.

    The last few volumes are cached, so that reading one slice by slice is
    fast.

    Returns:
        A read-only array (depth, height, width) of the stored values, ordered
        from feet to head, front to back, and the patient's right to left.

    Raises:
        ValueError: If it can't be read. It names the file.
    """
    with _reading:
        return _read_volume(path)


@functools.lru_cache(maxsize=4)
def _read_volume(path):
    with _naming(path):
        image, orientation = _open_nifti(path)
        values = np.asarray(image.dataobj)
        if values.dtype == "float64":
            values = values.astype("float32")
        values = _as_stack(values, orientation)
    values.flags.writeable = False
    return values


def volume_header(path):
    """Return a volume's (depth, height, width) and the millimetres of a voxel.

    Raises:
        ValueError: If the file can't be read. It names the file.
    """
    with _naming(path):
        image, orientation = _open_nifti(path)
    order = np.argsort(orientation[:, 0])[::-1]
    zooms = image.header.get_zooms()
    return (
        tuple(image.shape[axis] for axis in order),
        tuple(float(zooms[axis]) for axis in order),
    )


def read_nifti(path, scaled=False, intensities=None):
    """Read a NIfTI file.

    Args:
        path: The file.
        scaled: Whether to map its values to [0, 1]. Unsigned integers and
            values within [0, 1] are left as they are; others are mapped from
            the file's lowest to its highest value.
        intensities: Instead, the two values that become 0 and 1.

    Returns:
        An array (height, width, 1) of one slice, or (depth, height, width,
        1) of a volume, ordered as by `read_volume`.
    """
    image, orientation = _open_nifti(path)
    values = _as_seen(np.asarray(image.dataobj), orientation)[..., None]
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


def write_nifti(path, values, like):
    """Write values on the grid of another NIfTI file.

    Args:
        path: The file to write.
        values: Array ordered as by `read_nifti`, with an axis of classes or
            without.
        like: The file whose affine and header are used.
    """
    source = _nibabel().load(like)
    image, orientation = _open_nifti(like)
    classes = values.shape[2 if 1 in image.shape else 3 :]
    stored = np.empty((*image.shape, *classes), values.dtype)
    _as_seen(stored, orientation)[...] = values
    if not classes:
        stored = stored.reshape(source.shape)
    header = source.header.copy()
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0  # They are the scan's.
    type(source)(stored, source.affine, header).to_filename(path)


def _as_seen(values, orientation):
    """Return a view of a NIfTI file's array as a picture or a stack.

    Writing to the view writes to the array.
    """
    if 1 not in values.shape[:3]:
        return _as_stack(values, orientation)
    values = _nibabel().apply_orientation(values, orientation)
    thin = max(axis for axis in range(3) if values.shape[axis] == 1)
    frame = values[(slice(None),) * thin + (0,)]
    return np.flip(frame, (0, 1)).swapaxes(0, 1)


def _as_stack(values, orientation):
    # From nibabel's order (right, front, up) to (depth, row, column).
    values = _nibabel().apply_orientation(values, orientation)
    return np.flip(values, (0, 1)).swapaxes(0, 2)


@contextlib.contextmanager
def _naming(path):
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # Decoders raise anything on broken bytes.
        raise ValueError(
            f"{path} can't be read as a volume: {error}. Replace the file, or "
            "remove it from the folder."
        ) from error


def _open_nifti(path):
    """Open a NIfTI image with three axes; return it and its orientation."""
    nibabel = _nibabel()
    image = nibabel.load(path)
    check_size(*map(int, image.shape))
    if len(image.shape) == 2 or set(image.shape[3:]) == {1}:
        image = nibabel.Nifti1Image(
            np.asarray(image.dataobj).reshape((*image.shape, 1)[:3]),
            image.affine,
        )
    if len(image.shape) != 3:
        raise ValueError(f"its shape is {image.shape}, not that of a volume")
    return image, nibabel.io_orientation(image.affine)


def _nibabel():
    return import_extra("nibabel", extra="volumes", purpose="Reading NIfTI")
