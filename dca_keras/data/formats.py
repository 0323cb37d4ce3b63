"""Read the values that an image file stores, whatever its format."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image

from dca_keras.data.dicom import read_dicom
from dca_keras.data.guards import check_size
from dca_keras.data.volumes import read_nifti

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
    *(".ppm", ".pgm", ".tif", ".tiff"),
    *(".nii", ".nii.gz", ".dcm"),
)

# One page, or pages along an axis of depth, of time or without a name.
_TIFF_AXES = tuple(
    depth + page for depth in ("", *"ZTIQ") for page in ("YX", "YXS", "SYX")
)

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


def read_pixels(path, scaled=False, intensities=None, stack=False):
    """Read a file of any format.

    Args:
        path: The file. TIFF, NIfTI and DICOM are recognised by their
            extension; Pillow reads all others.
        scaled: Whether to map NIfTI and DICOM values, which have no fixed
            range, to [0, 1].
        intensities: For NIfTI and DICOM, the two values that become 0 and 1.
        stack: Whether a file may hold several slices, pages or frames.

    Returns:
        The `Pixels`.

    Raises:
        ValueError: If the file can't be read or holds no image of 1 or 3
            channels. It names the file and what to do.
    """
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise ValueError("the file is empty")
        pixels = _read_format(path, scaled, intensities)
        values = pixels.values
        if values.ndim > 3 and not stack:
            raise ValueError(f"it is a stack of {len(values)} images, not one")
        if values.shape[-1] in (2, 4):
            values = values[..., :-1]
        if values.shape[-1] not in (1, 3):
            raise ValueError(f"it has {values.shape[-1]} channels, not 1 or 3")
    except ImportError:
        raise
    except Exception as error:  # Decoders raise anything on broken bytes.
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{path} can't be read as an image: {reason}. Replace the file, "
            "or remove it from the folder."
        ) from error
    return pixels._replace(values=values)


def _read_format(path, scaled, intensities):
    _, suffix = split_name(path)
    if suffix in (".tif", ".tiff"):
        return _read_tiff(path)
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
        if image.mode == "I" and image.format in ("PNG", "PPM"):
            values = values.astype("uint16")  # These formats hold no more.
        return Pixels(values, palette, lossy)


def _read_tiff(path):
    try:
        with tifffile.TiffFile(path) as file:
            page, series = file.pages[0], file.series[0]
            if page.photometric > tifffile.PHOTOMETRIC.PALETTE:
                return _read_with_pillow(path)  # It reads CMYK and the like.
            axes = series.axes
            if len(file.series) > 1 or axes not in _TIFF_AXES:
                raise ValueError(
                    f"its {len(file.pages)} pages differ in size, or are "
                    f"{axes} and not slices"
                )
            check_size(len(file.pages), page.imagelength, page.imagewidth)
            values, palette = series.asarray(), page.colormap
    except ValueError as error:
        if "imagecodecs" in str(error):  # A compression that Pillow reads.
            return _read_with_pillow(path)
        raise
    if "S" not in axes:
        values = values[..., None]
    elif not axes.endswith("S"):
        values = np.moveaxis(values, axes.index("S"), -1)
    if palette is not None:
        palette = (palette.T >> 8).astype("uint8")
    return Pixels(values, palette, False)
