"""What is asked before a file is read, and values into [0, 1] after it."""

import contextlib
import math

import numpy as np
from PIL import Image

# Of one file; raise it for a larger one that you trust.
MAX_VOXELS = 512 * 512 * 2048


@contextlib.contextmanager
def size_limit(pixels):
    """Lets files have so many pixels, or voxels, inside the block.

    Args:
        pixels: Their number; `None` leaves the limits as they are.
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
    """Raises `ValueError` for more pixels than a file may hold.

    Args:
        *sides: Height and width, before them the depth of a stack.
    """
    pixels = "pixels", Image.MAX_IMAGE_PIXELS, "PIL.Image.MAX_IMAGE_PIXELS"
    voxels = "voxels", MAX_VOXELS, f"{__name__}.MAX_VOXELS"
    for part, (word, limit, name) in ((sides[-2:], pixels), (sides, voxels)):
        if limit is not None and math.prod(part) > limit:
            raise ValueError(
                f"its {'x'.join(map(str, part))} {word} are more than "
                f"{limit}; cut it into pieces, or raise `{name}` (for "
                "`dca-keras predict`, `--max-pixels`) if you trust it"
            )


def check_intensities(intensities):
    """Raises `ValueError` unless they are a lower number and a higher."""
    if intensities is None:
        return
    if len(intensities) != 2 or not intensities[0] < intensities[1]:
        raise ValueError(
            "`intensities` must be two numbers, the lower one first. "
            f"Received: {intensities!r}"
        )


def scale(values, low, high):
    """Maps `low` to 0 and `high` to 1, and clips what is beyond."""
    values = values.astype("float32")
    return np.clip((values - low) / (high - low), 0, 1).astype("float32")
