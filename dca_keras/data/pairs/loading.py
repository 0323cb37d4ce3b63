"""Measure and load the pairs of images and masks of a user's folder."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from dca_keras.data.archive import check_sizes
from dca_keras.data.channels import (
    MOST_CHANNELS,
    channels_header,
    check_grids,
    read_channels,
    read_grid,
)
from dca_keras.data.classes.mapping import MaskValues
from dca_keras.data.decoding import read_image
from dca_keras.data.dicom import read_modality
from dca_keras.data.formats import read_sides, split_name
from dca_keras.data.volumes import naming, open_nifti

NIFTI = (".nii", ".nii.gz")
# Files that scale their values store whole numbers nearly so.
ROUNDING = 1e-3
THREADS = 8


class Header(NamedTuple):
    """What the headers of an image's files say.

    Attributes:
        path: The first file.
        sides: Its sides, two or three.
        channels: The image's channels.
        volume: Whether it is one; False for a stack of pages.
    """

    path: object
    sides: tuple[int, ...]
    channels: int
    volume: bool


def read_headers(pairs):
    """Return the `Header` of every pair whose image can be read."""

    def read(pair):
        try:
            return _read_header(pair.images)
        except ValueError:  # Loading it says what is wrong.
            return None

    with ThreadPoolExecutor(THREADS) as pool:
        return [header for header in pool.map(read, pairs) if header]


def are_volumes(root, headers):
    """Whether images are volumes; `ValueError` if only some are."""
    volume = next((h for h in headers if h.volume), None)
    slice_ = next((h for h in headers if not h.volume), None)
    if volume and slice_:
        raise ValueError(
            f"{root} holds volumes and images of one slice: {volume.path} is "
            f"{'x'.join(map(str, volume.sides))}, {slice_.path} "
            f"{'x'.join(map(str, slice_.sides))}. Move one kind into a folder "
            "of its own."
        )
    return volume is not None


def find_channels(headers, mask_sides):
    """Return the number of channels that all images have, or can have.

    Args:
        headers: The images' `Header`s.
        mask_sides: The sides of the masks, by the image's path.

    Raises:
        ValueError: If they differ by more than 1 and 3. It names two files.
    """
    found = {}
    for header in headers:
        own = _channels(header, mask_sides.get(header.path))
        found.setdefault(own, header.path)
    if found.keys() <= {1, 3}:
        return max(found, default=3)
    if len(found) > 1:
        (few, one), *_, (many, other) = sorted(found.items())
        raise ValueError(
            f"{one} has {few} channels, {other} {many}. All images must have "
            "the same number; only 1 and 3 can be mixed."
        )
    return next(iter(found))


def load_images(images, mask_path, channels, classes):
    """Load an image, or the channels of one, and its mask."""
    if len(images) == 1:
        image = read_image(images[0], channels)
    else:
        parts = [read_image(path, 1) for path in images]
        for path, part in zip(images, parts, strict=True):
            check_sizes(part, parts[0], path, images[0])
        image = np.concatenate(parts, axis=-1)
    return check_sizes(image, classes.mask(mask_path), images[0], mask_path)


def load_volume(images, mask_path, classes):
    """Load a volume in its own values, and its mask."""
    image = read_channels(images)
    grid = read_grid(images[0])
    check_grids(grid, images[0], read_grid(mask_path), mask_path)
    return image, classes.indices(read_volume_values(mask_path), mask_path)


def read_volume_values(path):
    """Return the `MaskValues` of a volume."""
    if path.is_dir():
        values = read_channels([path])
    else:
        with naming(path):
            file = open_nifti(path)
            if file.channels:
                raise ValueError(
                    f"its shape is {file.image.shape}, not a mask's"
                )
            values = file.grid.as_stack(file.values())[..., None]
    if values.dtype.kind == "f":
        whole = np.rint(values)
        if np.abs(values - whole).max(initial=0) <= ROUNDING:
            values = whole.astype("int32")
    return MaskValues(values, None, False, False)


def read_spacing(pair):
    """Return the spacing of a volume; None if it can't be read."""
    try:
        return channels_header(pair.images[0])[1]
    except ValueError:  # Loading it says what is wrong.
        return None


def find_modality(pairs):
    """Return what volumes were taken with: what DICOM says, else "MRI"."""
    for pair in pairs:
        if pair.images[0].is_dir():
            path = min(pair.images[0].iterdir())
            return "CT" if read_modality(path) == "CT" else "MRI"
    return "MRI"


def _read_header(images):
    path = images[0]
    if path.is_dir():
        return Header(path, channels_header(path)[0], len(images), True)
    sides, channels = read_sides(path)
    volume = len(sides) == 3 and split_name(path)[1] in NIFTI
    channels = channels if len(images) == 1 else len(images)
    return Header(path, sides, channels, volume)


def _channels(header, mask_sides):
    """Return the channels; pages without a name may be these."""
    sides, own = header.sides, header.channels
    if header.volume or len(sides) < 3 or own > 1:
        return own
    if sides[1:] == mask_sides and sides[0] <= MOST_CHANNELS:
        return sides[0]
    if sides[:2] == mask_sides and sides[2] <= MOST_CHANNELS:
        return sides[2]
    return own
