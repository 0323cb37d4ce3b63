"""Colours and outlines of masks, the same in every picture."""

import numpy as np

# Of the classes from 1; after the last, the first again. The first ones stand
# out from stained tissue and grey scans, and can be distinguished with any
# kind of colour vision (after Paul Tol's "bright" and "muted" schemes).
CLASS_COLOURS = (
    *("#55e0ff", "#ddcc77", "#cc6677", "#117733", "#aa4499", "#44aa99"),
    *("#999933", "#882255", "#332288"),
)


def palette():
    """Return the colours of 256 class indices, black for the background.

    Returns:
        `(256, 3)`, uint8.
    """
    colours = [list(bytes.fromhex(colour[1:])) for colour in CLASS_COLOURS]
    table = np.resize(np.array(colours, "uint8"), (256, 3))
    return np.concatenate([np.zeros((1, 3), "uint8"), table[:-1]])


def to_rgb(image, channels=None):
    """Show an image of any number of channels in colour.

    Args:
        image: `(…, channels)`, floats in [0, 1].
        channels: Indices of the three channels that become red, green and
            blue. `None` is the first three; of two, the second is green and
            blue, and one is grey.

    Returns:
        `(…, 3)`, floats in [0, 1].

    Raises:
        ValueError: If `channels` are not three of the image's.
    """
    count = image.shape[-1]
    if channels is None:
        channels = {1: (0, 0, 0), 2: (0, 1, 1)}.get(count, (0, 1, 2))
    if len(channels) != 3 or not all(0 <= c < count for c in channels):
        raise ValueError(
            f"`channels` must be three indices from 0 to {count - 1}. "
            f"Received: {tuple(channels)}"
        )
    return np.clip(image[..., list(channels)], 0, 1)


def outline(mask):
    """Find the pixels of a mask that have a neighbour of another class.

    Args:
        mask: `(height, width)`, class indices.

    Returns:
        `(height, width)`, bool; never true on the background.
    """
    from skimage.segmentation import find_boundaries

    return find_boundaries(mask, mode="inner")
