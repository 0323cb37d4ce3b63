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


def outline(mask):
    """Find the pixels of a mask that have a neighbour of another class.

    Args:
        mask: `(height, width)`, class indices.

    Returns:
        `(height, width)`, bool; never true on the background.
    """
    from skimage.segmentation import find_boundaries

    return find_boundaries(mask, mode="inner")
