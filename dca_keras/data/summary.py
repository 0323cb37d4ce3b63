"""A summary of a data set in numbers, and its contact sheet."""

import collections

import numpy as np
from PIL import Image, ImageColor

from dca_keras._drawing import CLASS_COLOURS, outline
from dca_keras._files import replace_file
from dca_keras.data.decoding import resize_image, resize_mask

GAP = 4  # pixels


def summarize(samples):
    """Count samples, sizes and classes. All samples are loaded.

    Args:
        samples: `Sample`s that can be loaded, see `check_samples`.

    Returns:
        A dictionary that JSON can hold: `images` and `cases`, their numbers;
        `channels`, those that occur; `sizes`, the number of images of each
        "HEIGHTxWIDTH", the most frequent first; `class_shares`, the share of
        all pixels by class index; `empty_masks`, the number of masks without
        foreground.
    """
    sizes, pixels = collections.Counter(), collections.Counter()
    channels, empty = set(), 0
    for sample in samples:
        image, mask = sample.load()
        height, width, depth = image.shape
        sizes[f"{height}x{width}"] += 1
        channels.add(depth)
        classes, counts = np.unique(mask, return_counts=True)
        pixels.update(dict(zip(classes.tolist(), counts.tolist(), strict=True)))
        empty += not mask.any()
    total = sum(pixels.values())
    return {
        "images": len(samples),
        "cases": len({sample.case for sample in samples}),
        "channels": sorted(channels),
        "sizes": dict(sizes.most_common()),
        "class_shares": {
            str(index): pixels[index] / total for index in sorted(pixels)
        },
        "empty_masks": empty,
    }


def save_contact_sheet(samples, path, *, count=24, columns=6, side=128):
    """Write a PNG file of images with the outlines of their masks.

    Args:
        samples: `Sample`s, at least one. Those drawn are evenly spaced.
        path: The file to write.
        count: Number of images at most.
        columns: Images in a row.
        side: Height and width of an image in pixels.

    Raises:
        ValueError: If there is no sample, or the file can't be written.
    """
    if not samples:
        raise ValueError("`samples` is empty. Pass at least one sample.")
    count = min(count, len(samples))
    chosen = np.linspace(0, len(samples) - 1, count).astype(int)
    columns = min(columns, count)
    rows = -(-count // columns)
    cell = side + GAP
    sheet = np.full((rows * cell + GAP, columns * cell + GAP, 3), 255, "uint8")
    for place, index in enumerate(chosen):
        row, column = divmod(place, columns)
        top, left = row * cell + GAP, column * cell + GAP
        sheet[top : top + side, left : left + side] = _draw(
            samples[index], side
        )
    with replace_file(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def _draw(sample, side):
    """Return an image with its classes' outlines, uint8 (side, side, 3)."""
    image, mask = sample.load()
    image = resize_image(image, (side, side)) * 255
    mask = resize_mask(mask, (side, side))[..., 0]
    colours = [ImageColor.getrgb(colour) for colour in CLASS_COLOURS]
    colours = np.array(colours, "float32")[(mask - 1) % len(colours)]
    edge = outline(mask)[..., None]
    return np.where(edge, colours, image).astype("uint8")
