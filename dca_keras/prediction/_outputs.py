"""Predictions as files with the format and geometry of their images."""

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dca_keras._drawing import palette
from dca_keras._files import replace_file
from dca_keras.data.channels import write_volume
from dca_keras.data.dicom import read_dicom_spacing
from dca_keras.data.formats import split_name
from dca_keras.data.volumes import write_nifti
from dca_keras.plotting import cut_planes, draw_overlay, find_structure

CLASSES = 256  # A mask has a byte a pixel, in every format.
ROWS = 1024  # Rows of an overlay that are drawn at a time.
COMPRESSION = 3  # Of overlays: half of the time for a tenth more bytes.


def ends(source: Path) -> tuple[str, str, str]:
    """Return what the names of mask, probabilities and overlay end in."""
    _, suffix = split_name(source)
    if source.is_dir():
        suffix = ".nii.gz"
    if suffix in (".nii", ".nii.gz"):
        mask = probabilities = suffix
    else:
        # A page of TIFF can hold a float, and several can hold a stack.
        probabilities = ".tif"
        mask = ".tif" if suffix in (".tif", ".tiff", ".dcm") else ".png"
    return f"_mask{mask}", f"_probabilities{probabilities}", "_overlay.png"


def write_mask(
    path: Path, mask: np.ndarray, source: Path, in_frame: bool = False
) -> None:
    """Write class indices in the format and geometry of their source.

    NIfTI keeps the affine and the header, TIFF its resolution and PNG its
    dots per inch; DICOM's pixel spacing becomes TIFF's resolution. PNG and
    TIFF have a palette with the overlays' colours.

    Args:
        path: The file, with an extension from `ends`.
        mask: `(height, width)` or `(depth, height, width)`.
        source: The file that was predicted.
        in_frame: Whether NIfTI is a stack even if it has one slice, see
            `dca_keras.data.channels.write_volume`.
    """
    mask = mask.astype("uint8")
    with replace_file(path) as temporary:
        if path.name.endswith((".nii", ".nii.gz")):
            _write_nifti(temporary, mask, source, in_frame)
        elif path.suffix == ".png":
            image = Image.fromarray(mask)
            image.putpalette(palette().tobytes())
            image.save(temporary, **_dots_per_inch(source))
        else:
            axes = "ZYX"[-mask.ndim :]
            colours = 257 * palette().T.astype("uint16")
            _write_tiff(temporary, mask, axes, source, colormap=colours)


def write_probabilities(path, probabilities, source, in_frame=False):
    """Write probabilities as float32: NIfTI for NIfTI, otherwise TIFF.

    Args:
        path: The file.
        probabilities: `(height, width, classes)` or `(depth, height, width,
            classes)`. The classes are NIfTI's fourth axis and TIFF's pages.
        source: The file that was predicted.
        in_frame: As in `write_mask`.
    """
    axes = "ZYX"[-probabilities.ndim + 1 :]
    if probabilities.shape[-1] == 1:
        probabilities = probabilities[..., 0]
    with replace_file(path) as temporary:
        if path.name.endswith((".nii", ".nii.gz")):
            _write_nifti(temporary, probabilities, source, in_frame)
            return
        if probabilities.ndim > len(axes):
            probabilities = np.moveaxis(probabilities, -1, -3)
            axes = axes.replace("YX", "CYX")
        _write_tiff(temporary, probabilities, axes, source)


def write_overlay(path, image, mask, texts, spacing=None):
    """Write the image under its tinted and outlined mask, as PNG.

    For a stack, it is the slice with the most foreground; for a volume, three
    planes through the largest structure.

    Args:
        path: The file.
        image: `([depth,] height, width, channels)`, in [0, 1].
        mask: The same without channels.
        texts: Notes to keep in the file, text by name; `read_texts` reads
            them.
        spacing: Millimetres from voxel to voxel of a volume; None for an
            image or a stack.
    """
    if spacing is not None:
        place = find_structure(mask)
        image, mask = (cut_planes(a, place, spacing) for a in (image, mask))
    elif mask.ndim == 3:
        fullest = np.argmax((mask > 0).sum(axis=(1, 2)))
        image, mask = image[fullest], mask[fullest]
    drawn = np.empty((*mask.shape, 3), "uint8")
    for top in range(0, len(mask), ROWS):
        # One more row at either end, for the outline.
        first, last = max(top - 1, 0), top + ROWS + 1
        part = draw_overlay(image[first:last], mask[first:last])
        drawn[top : top + ROWS] = part[top - first :][:ROWS]
    notes = PngInfo()
    for name, text in texts.items():
        notes.add_text(name, text)
    with replace_file(path) as temporary:
        Image.fromarray(drawn).save(
            temporary, pnginfo=notes, compress_level=COMPRESSION
        )


def read_texts(path):
    """Return the notes of `write_overlay` in a file, if there are any."""
    try:
        with Image.open(path) as image:
            return dict(image.info)
    except (OSError, ValueError, Image.DecompressionBombError):
        return {}


def _write_nifti(path, values, source, in_frame):
    write = write_volume if in_frame else write_nifti
    write(path, values, source)


def _write_tiff(path, values, axes, source, **options):
    if "colormap" in options:
        options["photometric"] = "palette"
    metadata = {"axes": axes}
    if split_name(source)[1] in (".tif", ".tiff"):
        with tifffile.TiffFile(source) as file:
            tags, imagej = file.pages[0].tags, file.imagej_metadata or {}
            options["imagej"] = file.is_imagej
        if "XResolution" in tags and "YResolution" in tags:
            options |= {
                "resolution": [
                    tags[axis].value for axis in ("XResolution", "YResolution")
                ],
                "resolutionunit": tags.valueof("ResolutionUnit"),
            }
        kept = ("spacing", "unit")
        metadata |= {name: imagej[name] for name in kept if name in imagej}
    elif spacing := read_dicom_spacing(source):
        options["resolution"] = [10 / side for side in spacing[::-1]]
        options["resolutionunit"] = "centimeter"
    tifffile.imwrite(
        path, values, metadata=metadata, compression="zlib", **options
    )


def _dots_per_inch(source):
    try:
        with Image.open(source) as image:
            return {"dpi": image.info["dpi"]} if "dpi" in image.info else {}
    except OSError:  # DICOM, which Pillow does not read.
        return {}
