"""Limits on what is read, and the scaling of what was read."""

import contextlib
import math

import numpy as np
from PIL import Image

# Of one file. Raise it for a larger file that you trust.
MAX_VOXELS = 512 * 512 * 2048


@contextlib.contextmanager
def size_limit(pixels):
    """Allow files a number of pixels, or voxels, inside the block.

    Args:
        pixels: The number; None leaves the limits as they are.
    """
    global MAX_VOXELS
    before = MAX_VOXELS, Image.MAX_IMAGE_PIXELS
    if pixels is not None:
        MAX_VOXELS = Image.MAX_IMAGE_PIXELS = pixels
    try:
        yield
    finally:
        MAX_VOXELS, Image.MAX_IMAGE_PIXELS = before


def check_size(*sides):
    """Raise `ValueError` for more pixels than a file may hold.

    Args:
        *sides: Height and width, after the depth of a stack.
    """
    pixels = "pixels", Image.MAX_IMAGE_PIXELS, "PIL.Image.MAX_IMAGE_PIXELS"
    voxels = "voxels", MAX_VOXELS, f"{__name__}.MAX_VOXELS"
    for shape, (word, limit, name) in ((sides[-2:], pixels), (sides, voxels)):
        if limit is not None and math.prod(shape) > limit:
            raise ValueError(
                f"its {'x'.join(map(str, shape))} {word} are more than "
                f"{limit}; cut it into pieces, or raise `{name}` (for "
                "`dca-keras predict`, `--max-pixels`) if you trust it"
            )


def check_intensities(intensities):
    """Raise `ValueError` unless they are a lower and a higher number."""
    if intensities is None:
        return
    if len(intensities) != 2 or not intensities[0] < intensities[1]:
        raise ValueError(
            "`intensities` must be two numbers, the lower one first. "
            f"Received: {intensities!r}"
        )


def scale(values, low, high):
    """Map `low` to 0 and `high` to 1, and clip values beyond."""
    values = values.astype("float32")
    return np.clip((values - low) / (high - low), 0, 1).astype("float32")
