"""A summary of a data set in numbers, and its contact sheet."""

import collections
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from dca_keras._drawing import CLASS_COLOURS, outline, to_rgb
from dca_keras._files import replace_file
from dca_keras.data.decoding import resize_image, resize_mask
from dca_keras.data.samples import Sample, Splits

GAP = 4  # pixels
# Strays are worth a word from this share of the pixels on.
SHOWN_STRAYS = 1e-4


def summarize(samples: Sequence[Sample]) -> dict:
    """Count samples, sizes and classes. All samples are loaded.

    Args:
        samples: `Sample`s that can be loaded, see `check_samples`.

    Returns:
        A dictionary that JSON can hold: `images` and `cases`, their numbers;
        `channels`, those that occur; `sizes`, the number of images of each
        "HEIGHTxWIDTH" or "DEPTHxHEIGHTxWIDTH", the most frequent first;
        `class_shares`, the share of all pixels by class index; `empty_masks`,
        the number of masks without foreground.
    """
    sizes, pixels = collections.Counter(), collections.Counter()
    channels, empty = set(), 0
    with ThreadPoolExecutor() as pool:
        for shape, counts in pool.map(_measure, samples):
            sizes["x".join(map(str, shape[:-1]))] += 1
            channels.add(shape[-1])
            pixels.update(counts)
            empty += not any(counts[index] for index in counts if index)
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


def _measure(sample):
    """Return an image's shape, and the number of pixels by class index."""
    image, mask = sample.load()
    counts = np.bincount(mask.ravel()).tolist()
    return image.shape, {i: count for i, count in enumerate(counts) if count}


def describe_strays(splits: Splits) -> str | None:
    """Say how many pixels of the masks have a value that is no class's.

    Args:
        splits: What `read_dataset` returned.

    Returns:
        A sentence; None where masks are as they should be, or where the
        reader looks for no classes.
    """
    found = splits.classes or {}
    files, share = found.get("jpeg_masks", 0), found.get("strays", 0)
    if not files and share <= SHOWN_STRAYS:
        return None
    return (
        f"{files} masks are JPEG files, and {share:.2%} of the pixels have a "
        "value that is no class's; they count as the nearest class."
    )


def save_contact_sheet(
    samples: Sequence[Sample],
    path: str | Path,
    *,
    count: int = 24,
    columns: int = 6,
    side: int = 128,
    channels: tuple[int, int, int] | None = None,
) -> None:
    """Write a PNG file of images with the outlines of their masks.

    Of a volume, the slice with most foreground is drawn.

    Args:
        samples: `Sample`s, at least one. Those drawn are evenly spaced.
        path: The file to write.
        count: Number of images at most.
        columns: Images in a row.
        side: Height and width of an image in pixels.
        channels: Three channels that are shown as red, green and blue, counted
            from 0; None for the first three.

    Raises:
        ValueError: If there is no sample or no such channel, or the file can't
            be written.
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
            samples[index], side, channels
        )
    with replace_file(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def _draw(sample, side, channels):
    """Return an image with its classes' outlines, uint8 (side, side, 3)."""
    image, mask = sample.load()
    if image.ndim == 4:
        slice_ = int((mask > 0).sum(axis=(1, 2, 3)).argmax())
        slice_ = slice_ if mask.any() else len(image) // 2
        image, mask = image[slice_], mask[slice_]
    image = to_rgb(_to_unit_range(image), channels)
    image = resize_image(image, (side, side)) * 255
    mask = resize_mask(mask, (side, side))[..., 0]
    colours = [ImageColor.getrgb(colour) for colour in CLASS_COLOURS]
    colours = np.array(colours, "float32")[(mask - 1) % len(colours)]
    edge = outline(mask)[..., None]
    return np.where(edge, colours, image).astype("uint8")


def _to_unit_range(image):
    """Scale a slice in its own values by what most of them lie between."""
    if image.min() >= 0 and image.max() <= 1:
        return image
    low, high = np.percentile(image, (0.5, 99.5), axis=(0, 1))
    return (image - low) / np.maximum(high - low, np.finfo("float32").tiny)
