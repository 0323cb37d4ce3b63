"""Predictions on the grid that an image came from, of one model or several."""

import itertools
from collections.abc import Iterator

import keras
import numpy as np

from dca_keras.data import Preprocessing
from dca_keras.prediction._model import predict_rows


def predict_source(
    model: keras.Model,
    values: np.ndarray,
    *,
    preprocessing: Preprocessing | None = None,
    spacing: tuple[float, ...] | None = None,
    **options,
) -> Iterator[np.ndarray]:
    """Return the probabilities of an image before preprocessing, by slice.

    The image is preprocessed, predicted, and the prediction resampled to the
    image's own grid; all of that slice by slice, so that memory holds the
    image, the preprocessed image and the slices that a window reaches.

    Args:
        model: A model that returns probabilities.
        values: `(height, width, channels)` or `(depth, height, width,
            channels)`, values as the file has them.
        preprocessing: The run's `dca_keras.data.Preprocessing`; None for
            values in [0, 1] that need none.
        spacing: Millimetres from pixel to pixel in `values`, or None.
        **options: As in `predict_rows`.

    Returns:
        An iterator over `(height, width, classes)`, float32, one for every
        slice; a single image is a stack of one.

    Raises:
        ValueError: See `predict_rows` and `Preprocessing.image`.
    """
    if preprocessing is None:
        return predict_rows(model, values, **options)
    flat = len(model.input_shape) == 4
    if flat and values.ndim == 4:  # Each slice as it was in training.
        return itertools.chain.from_iterable(
            predict_source(
                model,
                part,
                preprocessing=preprocessing,
                spacing=spacing,
                **options,
            )
            for part in values
        )
    image = preprocessing.image(values, spacing)
    rows = predict_rows(model, image, **options)
    if image.shape[:-1] == values.shape[:-1]:
        return rows
    if flat:
        return (preprocessing.undo(row, values.shape[:-1]) for row in rows)
    slabs = preprocessing.undo_slabs(
        (row[None] for row in rows), len(image), values.shape[:-1]
    )
    return itertools.chain.from_iterable(slabs)


def average_rows(streams):
    """Average the slices of several predictions of one image.

    Args:
        streams: What `predict_source` returned for each model.

    Yields:
        `(height, width, classes)`, float32, for every slice.

    Raises:
        ValueError: If they are not on one grid.
    """
    for rows in zip(*streams, strict=True):
        shapes = {row.shape for row in rows}
        if len(shapes) > 1:
            raise ValueError(
                "The runs see the image on different grids: "
                f"{sorted(shapes)}. Predict it with one of them at a time."
            )
        yield rows[0] if len(rows) == 1 else np.mean(rows, axis=0)
