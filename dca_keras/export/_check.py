"""Checks before an export, and of what it wrote."""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from dca_keras.data import resize_image
from dca_keras.data.synthetic import draw_tissue
from dca_keras.prediction import side_multiple

LARGEST_DIFFERENCE = 1e-3
DRAWN = 2  # Images that are drawn if none are given.
LEAST_SIDE = 64  # Of images drawn for a model of any size.


class Exported(NamedTuple):
    """The result of an export.

    Attributes:
        path: The file, or the SavedModel's folder.
        difference: Largest difference between a probability of the model and
            that of the file, run in its own runtime.
        images: Number of images that the two were compared on.
        drawn: Whether these images were drawn because there were no others.
        size: Bytes written.
        dice: Of calibrated 8 bits, Dice on the run's validation split before
            and after; else `None`.
    """

    path: Path
    difference: float
    images: int
    drawn: bool
    size: int
    dice: tuple | None = None


def check_backend():
    """Raise `ValueError` unless Keras runs on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Models are exported from Keras's TensorFlow backend. Set the "
            "environment variable KERAS_BACKEND to tensorflow. Received: "
            f"{keras.backend.backend()!r}"
        )


def check_images(model, images=None, size=None):
    """Return images to check an export with.

    Args:
        model: A `keras.Model`.
        images: A list or array of images, `(height, width, channels)` each,
            floats in [0, 1]; they are resized for the model. Volumes,
            `(depth, height, width, channels)`, are cropped or padded for it
            instead. `None` draws some.
        size: Sides to resize to; `None` for the model's own.

    Returns:
        An array, `(batch, *sides, channels)`, float32.

    Raises:
        ValueError: If `images` are not such images.
    """
    *sides, channels = model.input_shape[1:]
    if size is not None:
        sides = list(size)
    elif None in sides:
        step = side_multiple(model)
        sides = [-(-LEAST_SIDE // step) * step] * len(sides)
    if images is None:
        return _draw(sides, channels)
    images = [np.asarray(image, "float32") for image in images]
    for image in images:
        if image.ndim != len(sides) + 1 or image.shape[-1] != channels:
            raise ValueError(
                f"`images` must have {len(sides)} sides and {channels} "
                f"channels each, as the model's. Received: {image.shape}"
            )
        if not np.all((image >= 0) & (image <= 1)):
            raise ValueError(
                "`images` must be floats in [0, 1], without NaN. Received "
                f"values from {image.min()} to {image.max()}"
            )
    if not images:
        raise ValueError("`images` must hold at least one. Received: none")
    fit = resize_image if len(sides) == 2 else crop_or_pad
    return np.stack([fit(image, sides) for image in images])


def largest_difference(model, run, images):
    """Return the largest difference between two models' probabilities.

    Args:
        model: A `keras.Model`.
        run: Function from images to probabilities.
        images: `(batch, *sides, channels)`, float32.
    """
    expected = model.predict_on_batch(images)
    return float(np.max(np.abs(expected - run(images))))


def check_difference(difference, name):
    """Raise `ValueError` for a difference of more than 1e-3, or NaN."""
    if not difference <= LARGEST_DIFFERENCE:
        raise ValueError(
            f"The {name} written differs from the model by {difference:.2g}, "
            f"more than {LARGEST_DIFFERENCE:g}, so it was not kept. Choose "
            "another format for this model."
        )


def crop_or_pad(volume, sides):
    """Return the middle of an image, with zeros around where it is smaller."""
    for axis, side in enumerate(sides):
        first = max(0, (volume.shape[axis] - side) // 2)
        volume = np.take(
            volume,
            range(first, min(first + side, volume.shape[axis])),
            axis,
        )
    more = np.subtract(sides, volume.shape[:-1])
    ends = [*zip(more // 2, more - more // 2, strict=True), (0, 0)]
    return np.pad(volume, ends)


def _draw(sides, channels):
    rng = np.random.default_rng(0)
    if len(sides) != 2 or channels not in (1, 3):
        return rng.random((DRAWN, *sides, channels), "float32")
    side = max(32, *sides)
    drawn = [
        draw_tissue(seed, side, channels=channels)[0] for seed in range(DRAWN)
    ]
    return np.stack([resize_image(image, sides) for image in drawn])
