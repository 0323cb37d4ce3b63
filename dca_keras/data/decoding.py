"""Read image and mask files into arrays, and resize them."""

from pathlib import Path

import numpy as np
from PIL import Image

from dca_keras.data.channels import MOST_CHANNELS
from dca_keras.data.formats import read_pixels
from dca_keras.data.guards import check_intensities

LUMA = np.array([0.299, 0.587, 0.114], "float32")


def read_image(
    path: str | Path,
    channels: int = 3,
    *,
    stack: bool = False,
    intensities: tuple[float, float] | None = None,
) -> np.ndarray:
    """Read an image.

    8-bit values are divided by 255 and 16-bit ones by 65535. Alpha is
    dropped, and a palette's colours are used. For DICOM the file's window is
    mapped to [0, 1], for NIfTI the range from the lowest value to the highest.

    Args:
        path: A PNG, JPEG, BMP, GIF, WebP, PNM or TIFF file, or one slice as
            NIfTI or DICOM.
        channels: 3 repeats grey images; 1 takes the luma of coloured ones.
            The file must have any other number, up to 16, itself. None is
            its own.
        stack: Whether to accept a NIfTI volume, the frames of a DICOM file
            and the pages of a TIFF file.
        intensities: For NIfTI and DICOM, the two values that become 0 and 1,
            in the file's own unit, such as -125 and 275 Hounsfield units.

    Returns:
        A float32 array (height, width, channels) in [0, 1]; of a stack
        (depth, height, width, channels), which may be read-only.

    Raises:
        ValueError: If the file can't be read or holds no such image. It
            names the file and what to do.
    """
    check_channels(channels)
    check_intensities(intensities)
    values, palette, _ = read_pixels(path, True, intensities, stack, channels)
    if palette is not None:
        values = look_up(palette, values)
    image = _to_unit_range(path, values)
    if channels in (None, image.shape[-1]):
        return image
    if channels == 1:
        return image @ LUMA[:, None]
    if image.ndim > 3:  # Three copies of a volume may not fit in memory.
        return np.broadcast_to(image, (*image.shape[:-1], channels))
    return np.repeat(image, channels // image.shape[-1], axis=-1)


def check_channels(channels):
    """Raise `ValueError` unless images may have so many channels."""
    if channels is not None and channels not in range(1, MOST_CHANNELS + 1):
        raise ValueError(
            f"`channels` must be from 1 to {MOST_CHANNELS}. Received: "
            f"{channels!r}"
        )


def read_mask(path: str | Path, num_classes: int = 1) -> np.ndarray:
    """Read a mask.

    For one class the file holds 0 and 1, or 0 and 255, in one channel or in
    three equal ones; a JPEG, which can't preserve such values, is thresholded
    at 128. For several classes it holds class indices; those of a palette
    count, not its colours.

    Args:
        path: A file of any kind that `read_image` takes.
        num_classes: 1, or the number of classes with the background.

    Returns:
        An int32 array (height, width, 1) of {0, 1}, or of class indices.

    Raises:
        ValueError: If the file can't be read or holds other values. It
            names the file, the values found and what to do.
    """
    values, palette, lossy = read_pixels(path, channels=1)
    if lossy and num_classes > 1:
        raise ValueError(
            f"{path} is a JPEG, which does not keep class indices. Save "
            "masks of several classes as PNG."
        )
    if palette is not None and num_classes == 1:
        colours = look_up(palette, values)
        # A black and white palette may well put white first.
        values = colours if is_grey(colours) else values
    if not is_grey(values):
        raise ValueError(_coloured(path))
    values = values[..., :1]
    if lossy and values.max() >= 128:
        values = np.where(values >= 128, 255, 0)
    return _to_indices(path, values, num_classes)


def read_labels(path):
    """Read the values of a file of labels, whatever they mean.

    Args:
        path: A file of any kind that `read_image` takes.

    Returns:
        An array (height, width, 1) of the file's own dtype: the indices of
        a palette, the first channel of a JPEG in colour.

    Raises:
        ValueError: If the file can't be read or is coloured. It names the
            file.
    """
    values, _, lossy = read_pixels(path, channels=1)
    if not lossy and not is_grey(values):
        raise ValueError(_coloured(path))
    return values[..., :1]


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image bilinearly, antialiased where it shrinks.

    Args:
        image: Array (height, width, channels).
        size: (height, width) to resize to.
    """
    return _resize(image, size, "float32", Image.Resampling.BILINEAR)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask by nearest neighbour.

    Args:
        mask: Array (height, width, 1).
        size: (height, width) to resize to.
    """
    return _resize(mask, size, "int32", Image.Resampling.NEAREST)


def _resize(array, size, dtype, resample):
    if array.shape[:2] == tuple(size):
        return array
    height, width = size
    channels = [
        np.asarray(
            Image.fromarray(array[..., channel].astype(dtype)).resize(
                (width, height), resample
            )
        )
        for channel in range(array.shape[-1])
    ]
    return np.stack(channels, axis=-1)


def look_up(palette, values):
    """Return the colours that the indices of a palette stand for."""
    return palette[values[..., 0].astype("intp")]


def _to_unit_range(path, values):
    dtype = values.dtype
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return np.divide(values, np.iinfo(dtype).max, dtype="float32")
    image = values.astype("float32")
    if dtype.kind in "bf" and np.all((image >= 0) & (image <= 1)):
        return image
    raise ValueError(
        f"{path} holds {dtype} values from {image.min():g} to "
        f"{image.max():g}. Save it with 8 or 16 bits a channel, or as "
        "floats in [0, 1] without NaN."
    )


def _coloured(path):
    return (
        f"{path} is a coloured image, not a mask. Save one channel: 0 and 255, "
        "or class indices."
    )


def is_grey(values):
    """Whether all channels of an array are equal."""
    return values.shape[-1] == 1 or np.all(values == values[..., :1])


def _to_indices(path, values, num_classes):
    found = np.unique(values)
    if num_classes > 1:
        allowed = range(num_classes)
        rule = f"{num_classes} classes holds the indices 0 to {allowed[-1]}"
    else:
        allowed = (0, 255) if found[-1] == 255 else (0, 1)
        rule = "one class holds 0 and 1, or 0 and 255"
    if np.isin(found, allowed).all():
        return (values != 0 if num_classes == 1 else values).astype("int32")
    shown = ", ".join(f"{value:g}" for value in found[:6])
    raise ValueError(
        f"{path} holds the values {shown}{', …' * (found.size > 6)}. A mask "
        f"of {rule}. Save it so, or change `num_classes`."
    )
