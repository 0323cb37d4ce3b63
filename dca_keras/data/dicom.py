"""Read DICOM files into arrays of rows and columns."""

import numpy as np

from dca_keras._extras import import_extra
from dca_keras.data.guards import check_size, scale


def read_dicom(path, scaled=False, intensities=None):
    """Read a DICOM file.

    Args:
        path: The file.
        scaled: Whether to map grey values to [0, 1]: the file's window if it
            has one, else the range of its bits.
        intensities: Instead, the two values that become 0 and 1, in the
            file's own unit, such as Hounsfield units.

    Returns:
        An array (height, width, channels), or (frames, height, width,
        channels) for several frames.
    """
    dataset = _pydicom().dcmread(path)
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    check_size(frames, dataset.Rows, dataset.Columns)
    values = dataset.pixel_array
    if dataset.get("SamplesPerPixel", 1) > 1:
        return values
    values = values[..., None]
    if not scaled:
        return values
    values = rescale(dataset, values)
    if intensities is not None:
        return scale(values, *intensities)
    values = scale(values, *_dicom_window(dataset))
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return 1 - values if inverted else values


def dicom_sides(path):
    """Return a file's sides, after those of its frames, and its channels."""
    dataset = _pydicom().dcmread(path, stop_before_pixels=True)
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    sides = (frames,) * (frames > 1) + (dataset.Rows, dataset.Columns)
    return sides, int(dataset.get("SamplesPerPixel", 1))


def read_modality(path):
    """Return a DICOM file's modality, such as CT or MR; "" if not known."""
    dataset = _pydicom().dcmread(path, stop_before_pixels=True)
    return str(dataset.get("Modality", "") or "")


def read_dicom_spacing(path):
    """Return the millimetres from row to row and from column to column.

    None if they are not known, or the file is not a DICOM file.
    """
    if not str(path).lower().endswith(".dcm"):
        return None
    dataset = _pydicom().dcmread(path, stop_before_pixels=True)
    spacing = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    return tuple(map(float, spacing)) if spacing else None


def rescale(dataset, values):
    """Return stored values in their unit, such as Hounsfield units."""
    slope, intercept = _slope_and_intercept(dataset)
    return values.astype("float32") * slope + intercept


def _slope_and_intercept(dataset):
    return (
        float(dataset.get("RescaleSlope", 1)),
        float(dataset.get("RescaleIntercept", 0)),
    )


def _dicom_window(dataset):
    if "WindowCenter" in dataset and "WindowWidth" in dataset:
        centre, width = (
            float(np.ravel(dataset[name].value)[0])
            for name in ("WindowCenter", "WindowWidth")
        )
        return centre - width / 2, centre + width / 2
    bits, signed = dataset.BitsStored, dataset.PixelRepresentation
    least = -(2 ** (bits - 1)) if signed else 0
    slope, intercept = _slope_and_intercept(dataset)
    return np.array([least, least + 2**bits - 1]) * slope + intercept


def _pydicom():
    return import_extra("pydicom", extra="volumes", purpose="Reading DICOM")
