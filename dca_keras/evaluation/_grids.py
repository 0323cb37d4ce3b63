"""The grid that prediction and truth are compared on."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import keras
import numpy as np

from dca_keras.data import Preprocessing, Sample, resize_image, resize_mask
from dca_keras.prediction import gather_rows, predict_source, to_mask

GRIDS = ("resized", "original")


class Pair(NamedTuple):
    """The true and the predicted mask of a sample.

    Args:
        truth: Class indices `([depth,] height, width)`, int16.
        prediction: As `truth`.
        classes: The model's number of classes.
        zoom: How many pixels of the original image a pixel's sides are.
    """

    truth: np.ndarray
    prediction: np.ndarray
    classes: int
    zoom: tuple


class ResizedGrid(NamedTuple):
    """All images at the size that the model works at, as published.

    Args:
        image_size: `(height, width)` that image and mask are resized to.
        batch_size: Images that are predicted together.
    """

    image_size: tuple
    batch_size: int

    name = "resized"

    def pairs(self, model, samples):
        """Yield the `Pair` of every sample."""
        load = partial(_load_resized, image_size=self.image_size)
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(samples), self.batch_size):
                batch = samples[start : start + self.batch_size]
                loaded = list(pool.map(load, batch))
                images = np.stack([image for image, _, _ in loaded])
                found = np.asarray(model.predict_on_batch(images))
                masks = to_mask(found).astype("int16")
                for (_, truth, zoom), mask in zip(loaded, masks, strict=True):
                    yield Pair(truth, mask, found.shape[-1], zoom)

    def picture(self, sample):
        """Return a sample's image, to be shown."""
        return resize_image(sample.load()[0], self.image_size)


class OriginalGrid(NamedTuple):
    """Every image at its own size and spacing, whatever the model works at.

    Args:
        preprocessing: What is done to an image before prediction, and undone
            after; None for images in [0, 1].
        window: As in `dca_keras.prediction.predict`: None resizes the image
            for a 2-D model of one size, True slides a window over it.
        batch_size: Windows that are predicted together; None for as many as
            fit.
    """

    preprocessing: Preprocessing | None = None
    window: bool | None = None
    batch_size: int | None = None

    name = "original"

    def pairs(
        self, model: keras.Model, samples: Sequence[Sample]
    ) -> Iterator[Pair]:
        """Yield the `Pair` of every sample."""
        for sample in samples:
            image, truth = sample.load()
            rows = predict_source(
                model,
                image,
                preprocessing=self.preprocessing,
                spacing=sample.spacing,
                window=self.window,
                batch_size=self.batch_size,
            )
            count = len(image) if image.ndim == 4 else 1
            masks = gather_rows(map(_to_indices, rows), count)
            mask = masks if image.ndim == 4 else masks[0]
            truth = truth[..., 0].astype("int16")
            yield Pair(truth, mask, model.output_shape[-1], (1,) * mask.ndim)

    def picture(self, sample: Sample) -> np.ndarray:
        """Return a sample's image, to be shown."""
        image, _ = sample.load()
        if self.preprocessing is None:
            return image
        return self.preprocessing.image(image)  # on its own grid


def choose_grid(grid, whole):
    """Whether to score at the images' own size.

    Args:
        grid: As in `evaluate_run`.
        whole: Whether the model sees windows of whole images.

    Raises:
        ValueError: If `grid` is unknown, or the images are not resized.
    """
    if grid not in (None, *GRIDS):
        raise ValueError(
            f"`grid` must be one of {', '.join(map(repr, GRIDS))}. Received: "
            f"{grid!r}"
        )
    if grid == "resized" and whole:
        raise ValueError(
            "`grid` must be 'original' for a model that was trained on crops "
            "or volumes: its images are not resized. Received: 'resized'"
        )
    return whole or grid == "original"


def original_samples(samples):
    """Return the samples as they were before preprocessing."""
    return [sample.source or sample for sample in samples]


def _to_indices(probabilities):
    return to_mask(probabilities).astype("int16")


def _load_resized(sample, image_size):
    image, mask = sample.load()
    zoom = np.divide(mask.shape[:2], image_size)
    mask = resize_mask(mask, image_size)[..., 0]
    return resize_image(image, image_size), mask.astype("int16"), zoom
