"""NIfTI and DICOM files into arrays of rows and columns."""

import contextlib
import functools
import importlib
import threading

import numpy as np

_reading = threading.Lock()


def read_volume(path):
    """Read a NIfTI volume.

    The last few are kept, so that slice after slice of one volume is fast.

    Returns:
        A read-only array (depth, height, width), as stored: from feet to
        head, front to back, the patient's right to left.

    Raises:
        ValueError: If it can't be read. The file is named.
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
        values = _nibabel().apply_orientation(values, orientation)
    # From nibabel's right, front and up to the order of a picture.
    values = np.flip(values, (0, 1)).transpose(2, 1, 0)
    values.flags.writeable = False
    return values


def volume_header(path):
    """The shape (depth, height, width) of a volume and a voxel's millimetres.

    Raises:
        ValueError: If the file can't be read. It is named.
    """
    with _naming(path):
        image, orientation = _open_nifti(path)
    order = np.argsort(orientation[:, 0])[::-1]
    zooms = image.header.get_zooms()
    return (
        tuple(image.shape[axis] for axis in order),
        tuple(float(zooms[axis]) for axis in order),
    )


def read_nifti_frame(path, scaled):
    """Read a NIfTI file of one slice.

    Returns:
        An array (height, width), as stored; where `scaled` and not of
        unsigned integers or within [0, 1], from the lowest value as 0 to
        the highest as 1.
    """
    image, orientation = _open_nifti(path)
    values = np.asarray(image.dataobj)
    values = np.squeeze(_nibabel().apply_orientation(values, orientation))
    if values.ndim != 2:
        raise ValueError(f"it is a volume of shape {image.shape}, not a slice")
    values = np.flip(values).T
    if not scaled or values.dtype in ("uint8", "uint16"):
        return values
    values = values.astype("float32")
    low, high = values.min(), values.max()
    if 0 <= low and high <= 1:
        return values
    return (values - low) / max(high - low, np.finfo("float32").tiny)


def read_dicom_frame(path, scaled):
    """Read a DICOM file of one frame.

    Returns:
        An array (height, width) or (height, width, 3), as stored; where
        `scaled` and grey, the file's window, or all that its bits hold,
        mapped to [0, 1].
    """
    dataset = _need("pydicom").dcmread(path)
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if frames > 1:
        raise ValueError(f"it is a stack of {frames} frames")
    values = dataset.pixel_array
    if not scaled or values.ndim == 3:
        return values
    slope = float(dataset.get("RescaleSlope", 1))
    intercept = float(dataset.get("RescaleIntercept", 0))
    if "WindowCenter" in dataset and "WindowWidth" in dataset:
        centre, width = (
            float(np.ravel(dataset[name].value)[0])
            for name in ("WindowCenter", "WindowWidth")
        )
        low, high = centre - width / 2, centre + width / 2
    else:
        bits, signed = dataset.BitsStored, dataset.PixelRepresentation
        least = -(2 ** (bits - 1)) if signed else 0
        low, high = np.array([least, least + 2**bits - 1]) * slope + intercept
    values = values.astype("float32") * slope + intercept
    values = np.clip((values - low) / (high - low), 0, 1)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return (1 - values if inverted else values).astype("float32")


@contextlib.contextmanager
def _naming(path):
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # Decoders raise anything on broken bytes.
        raise ValueError(
            f"{path} can't be read as a volume: {error}. Replace the file, or "
            "take it out of the folder."
        ) from error


def _open_nifti(path):
    """A NIfTI image of three axes, unread, and how it lies in space."""
    nibabel = _nibabel()
    image = nibabel.load(path)
    if len(image.shape) == 2:
        image = nibabel.Nifti1Image(
            np.asarray(image.dataobj)[..., None], image.affine
        )
    return image, nibabel.io_orientation(image.affine)


def _nibabel():
    return _need("nibabel")


def _need(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"Reading NIfTI and DICOM needs {name}: "
            'pip install "dca-keras[volumes]"'
        ) from error
