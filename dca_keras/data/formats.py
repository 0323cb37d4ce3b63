"""Read the values that an image file stores, whatever its format."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image

from dca_keras.data.channels import MOST_CHANNELS
from dca_keras.data.dicom import dicom_sides, read_dicom
from dca_keras.data.guards import check_size
from dca_keras.data.volumes import open_nifti, read_nifti

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
    *(".ppm", ".pgm", ".tif", ".tiff"),
    *(".nii", ".nii.gz", ".dcm"),
)

# One page, or pages along an axis of depth, of time or without a name; with
# one axis of channels or samples.
_TIFF_AXES = re.compile(r"(?=[^CS]*[CS]?[^CS]*$)[CS]?[ZTIQ]?[CS]?YX[CS]?")
# A series of pages that says nothing of what they are.
_UNNAMED = ("IYX", "QYX")
_ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)

# Modes that NumPy reads from Pillow directly; others are converted to RGB.
_PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "F", "I")


class Pixels(NamedTuple):
    values: np.ndarray  # ([depth,] height, width, channels), no alpha
    palette: np.ndarray | None  # (256, 3) uint8; `values` are its indices
    lossy: bool


def split_name(path):
    """Return a file's name without its extension, and that in lowercase.

    `EXTENSIONS` are those that can be read.
    """
    suffix = path.suffix.lower()
    if suffix == ".gz":
        suffix = Path(path.stem).suffix.lower() + suffix
    return path.name[: len(path.name) - len(suffix)], suffix


def read_pixels(
    path, scaled=False, intensities=None, stack=False, channels=None
):
    """Read a file of any format.

    Args:
        path: The file. TIFF, NIfTI and DICOM are recognised by their
            extension; Pillow reads all others.
        scaled: Whether to map NIfTI and DICOM values, which have no fixed
            range, to [0, 1].
        intensities: For NIfTI and DICOM, the two values that become 0 and 1.
        stack: Whether a file may hold several slices, pages or frames.
        channels: How many the image must have; 1 and 3 may stand for one
            another, and `None` is any number up to 16. A TIFF file whose
            pages have no name and are so many holds them.

    Returns:
        The `Pixels`.

    Raises:
        ValueError: If the file can't be read or holds no image of so many
            channels. It names the file and what to do.
    """
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise ValueError("the file is empty")
        pixels = _read_format(path, scaled, intensities, channels)
        values = pixels.values
        if values.ndim > 3 and not stack:
            raise ValueError(f"it is a stack of {len(values)} images, not one")
        _check_channels(values.shape[-1], channels)
    except ImportError:
        raise
    except Exception as error:  # Decoders raise anything on broken bytes.
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{path} can't be read as an image: {reason}. Replace the file, "
            "or remove it from the folder."
        ) from error
    return pixels


def read_sides(path):
    """Return what a file's header says of its size.

    Returns:
        Its sides, (height, width) or (depth, height, width), and the number
        of channels without alpha. Pages of a TIFF file that have no name
        count as depth. A palette has the channels of its colours.

    Raises:
        ValueError: If the file can't be read. It names the file.
    """
    path = Path(path)
    _, suffix = split_name(path)
    try:
        if suffix in (".tif", ".tiff"):
            with tifffile.TiffFile(path) as file:
                page, series = file.pages[0], file.series[0]
                if page.photometric > tifffile.PHOTOMETRIC.PALETTE:
                    return _pillow_sides(path)
                named = dict(zip(series.axes, series.shape, strict=True))
                channels = named.pop("S", 1) * named.pop("C", 1)
                channels -= len(_alpha(page))
                if page.colormap is not None:
                    channels = 3
                return tuple(named.values()), channels
        if suffix in (".nii", ".nii.gz"):
            file = open_nifti(path)
            shape = file.grid.stack_shape
            sides = tuple(side for side in shape if side > 1)
            return sides if 1 in shape else shape, (*file.channels, 1)[0]
        if suffix == ".dcm":
            return dicom_sides(path)
        return _pillow_sides(path)
    except ImportError:
        raise
    except Exception as error:  # Decoders raise anything on broken bytes.
        raise ValueError(f"{path} can't be read as an image: {error}.") from (
            error
        )


def _pillow_sides(path):
    with Image.open(path) as image:
        grey = image.mode.partition(";")[0] in ("1", "L", "LA", "F", "I")
        return (image.height, image.width), 1 if grey else 3


def _check_channels(found, wanted):
    if wanted in (1, 3):
        if found not in (1, 3):
            raise ValueError(f"it has {found} channels, not 1 or 3")
    elif found != (wanted or found):
        raise ValueError(f"it has {found} channels, not {wanted}")
    elif found > MOST_CHANNELS:
        raise ValueError(
            f"it has {found} channels, more than {MOST_CHANNELS}; is it a "
            "stack of slices?"
        )


def _read_format(path, scaled, intensities, channels):
    _, suffix = split_name(path)
    if suffix in (".tif", ".tiff"):
        return _read_tiff(path, channels)
    if suffix in (".nii", ".nii.gz"):
        return Pixels(read_nifti(path, scaled, intensities), None, False)
    if suffix == ".dcm":
        return Pixels(read_dicom(path, scaled, intensities), None, False)
    return _read_with_pillow(path)


def _read_with_pillow(path):
    with Image.open(path) as image:
        check_size(image.height, image.width)
        lossy = image.format in ("JPEG", "MPO")
        if image.mode.partition(";")[0] not in _PLAIN_MODES:
            image = image.convert("RGB")
        palette = None
        if image.mode in ("P", "PA"):
            palette = np.zeros((256, 3), "uint8")
            colours = np.reshape(image.getpalette("RGB"), (-1, 3))
            palette[: len(colours)] = colours
        values = np.atleast_3d(np.asarray(image))
        if image.mode in ("LA", "PA", "RGBA"):
            values = values[..., :-1]
        if image.mode == "I" and image.format in ("PNG", "PPM"):
            values = values.astype("uint16")  # These formats hold no more.
        return Pixels(values, palette, lossy)


def _read_tiff(path, channels):
    try:
        with tifffile.TiffFile(path) as file:
            page, series = file.pages[0], file.series[0]
            if page.photometric > tifffile.PHOTOMETRIC.PALETTE:
                return _read_with_pillow(path)  # It reads CMYK and the like.
            axes = _name_axes(series, channels)
            if len(file.series) > 1 or not _TIFF_AXES.fullmatch(axes):
                raise ValueError(
                    f"its {len(file.pages)} pages differ in size, or are "
                    f"{axes} and not slices"
                )
            check_size(len(file.pages), page.imagelength, page.imagewidth)
            values, palette = series.asarray(), page.colormap
            alpha = _alpha(page)
    except ValueError as error:
        if "imagecodecs" in str(error):  # A compression that Pillow reads.
            return _read_with_pillow(path)
        raise
    channel = max(axes.find("C"), axes.find("S"))
    if channel < 0:
        values = values[..., None]
    else:
        values = np.moveaxis(values, channel, -1)
    values = np.delete(values, alpha, axis=-1) if alpha else values
    if palette is not None:
        palette = (palette.T >> 8).astype("uint8")
    return Pixels(values, palette, False)


def _name_axes(series, channels):
    """Return a series' axes, C where one without a name is the channels."""
    if series.axes in _UNNAMED and channels not in (None, 1, 3):
        if series.shape[0] == channels:
            return "CYX"
        # Written as (height, width, channels), it has a page for every row.
        if series.shape[2] == channels:
            return "YXC"
    return series.axes


def _alpha(page):
    """Return the indices of a page's samples that are alpha."""
    first = page.samplesperpixel - len(page.extrasamples)
    return [
        first + index
        for index, kind in enumerate(page.extrasamples)
        if kind in _ALPHA
    ]
