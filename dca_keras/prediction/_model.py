"""Predictions for images of any size."""

import itertools
import math
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from dca_keras.data import resize_image
from dca_keras.prediction._plan import PIXELS, plan_prediction
from dca_keras.prediction._windows import stream_windows

# How far rounding may take a value above 1 or below 0.
ROUNDING = 1e-4


def predict(
    model: keras.Model,
    image: np.ndarray,
    *,
    window: bool | int | tuple[int, ...] | None = None,
    overlap: int | tuple[int, ...] | None = None,
    test_time_augmentation: bool = False,
    batch_size: int | None = None,
) -> np.ndarray:
    """Return the probabilities of every pixel of an image or a stack.

    `plan_prediction` decides how the model sees the image. Memory holds the
    image, the probabilities and one batch; and, if the image is padded or
    resized, a copy of it. `predict_rows` needs no room for the probabilities.

    Args:
        model: A model that returns probabilities.
        image: `(height, width, channels)`, numbers in [0, 1]; or `(depth,
            height, width, channels)`, for a 3-D model a volume and for a 2-D
            one a stack of slices.
        window, overlap: As in `plan_prediction`.
        test_time_augmentation: Whether to return the mean over the image and
            its mirror images, 4 in 2-D and 8 in 3-D. Not for classes that
            only differ by side, such as the left and the right kidney.
        batch_size: Number of windows or slices that are predicted together;
            `None` for as many as have 2^18 pixels.

    Returns:
        An array of the image's shape with classes for channels, float32.

    Raises:
        ValueError: If `image` is not as described above or has other channels
            than the model's, or an option does not fit.
    """
    rows = predict_rows(
        model,
        image,
        window=window,
        overlap=overlap,
        test_time_augmentation=test_time_augmentation,
        batch_size=batch_size,
    )
    found = gather_rows(rows, len(image) if np.ndim(image) == 4 else 1)
    return found if np.ndim(image) == 4 else found[0]


def predict_rows(
    model: keras.Model,
    image: np.ndarray,
    *,
    window: bool | int | tuple[int, ...] | None = None,
    overlap: int | tuple[int, ...] | None = None,
    test_time_augmentation: bool = False,
    batch_size: int | None = None,
) -> Iterator[np.ndarray]:
    """Return the probabilities of a stack, slice after slice.

    A slice comes as soon as no later window reaches it, so that a volume's
    probabilities need not fit in memory: it holds the image, one batch, and
    as many slices as a window has.

    Args:
        model, image, window, overlap, test_time_augmentation, batch_size: As
            in `predict`.

    Returns:
        An iterator over `(height, width, classes)`, float32, one for every
        slice; a single image is a stack of one.

    Raises:
        ValueError: See `predict`.
    """
    check_batch_size(batch_size)
    image = _check_image(model, image)
    plan = plan_prediction(
        model, image.shape[:-1], window=window, overlap=overlap
    )
    stack = image if image.ndim == 4 else image[None]
    flat = len(plan.window) == 2  # Then a volume is so many slices.
    prepared, starts = _fit(stack, plan, flat)
    rows = stream_windows(
        lambda windows: _predict_batch(
            model, windows, flat, test_time_augmentation
        ),
        prepared,
        (1,) * flat + plan.window,
        (0,) * flat + plan.overlap,
        (1,) * flat + plan.multiple,
        batch_size or max(1, PIXELS // math.prod(plan.window)),
    )
    return _restore(rows, stack.shape[:-1], plan.size, starts)


def gather_rows(rows: Iterable[np.ndarray], count: int) -> np.ndarray:
    """Put the `count` slices of an iterator in one array."""
    first = next(rows)
    found = np.empty((count, *first.shape), first.dtype)
    for index, row in enumerate(itertools.chain([first], rows)):
        found[index] = row
    return found


def to_mask(probabilities: np.ndarray) -> np.ndarray:
    """Return the class of every pixel.

    Args:
        probabilities: `(..., classes)`. A single class is present where its
            probability is above 0.5; of several, the likeliest wins.

    Returns:
        `(...)`, int32: {0, 1} for one class, class indices for several.
    """
    if probabilities.shape[-1] == 1:
        return (probabilities[..., 0] > 0.5).astype("int32")
    return np.argmax(probabilities, axis=-1).astype("int32")


def check_batch_size(batch_size):
    """Raise `ValueError` unless it is a positive integer or `None`."""
    if batch_size is not None and not (
        isinstance(batch_size, int | np.integer) and batch_size >= 1
    ):
        raise ValueError(
            f"`batch_size` must be a positive integer. Received: {batch_size!r}"
        )


def _check_image(model, image):
    image = np.asarray(image)
    rank, channels = len(model.input_shape) - 2, model.input_shape[-1]
    volume = f"(depth, height, width, {channels})"
    rule = f"(height, width, {channels}) or {volume}" if rank == 2 else volume
    ranks = (3, 4) if rank == 2 else (4,)
    if image.ndim not in ranks or image.shape[-1] != channels:
        raise ValueError(
            f"`image` must be {rule}, as the model was trained. "
            f"Received: {image.shape}"
        )
    if 0 in image.shape:
        raise ValueError(
            f"`image` must have at least one pixel. Received: {image.shape}"
        )
    if image.dtype.kind not in "buif":
        raise ValueError(f"`image` must hold numbers. Received: {image.dtype}")
    low, high = image.min(), image.max()
    # Written so that it fails for NaN.
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise ValueError(
            "`image` must hold values in [0, 1] and no NaN. Received: "
            f"{image.dtype} from {low:g} to {high:g}. Divide 8-bit values by "
            "255, or read the file with `dca_keras.data.read_image`."
        )
    return image.astype("float32", copy=False)


def _fit(stack, plan, flat):
    """A stack as the plan has it, and where its first pixel is in that."""
    starts = (0, 0, 0)
    if plan.size is not None:
        resized = [resize_image(part, plan.size) for part in stack]
        return np.stack(resized), starts
    if not plan.padded:
        return stack, starts
    sides = (len(stack),) * flat + plan.sides
    more = np.subtract(sides, stack.shape[:-1])
    if plan.centred:
        starts = tuple(more // 2)
    ends = [*zip(starts, more - starts, strict=True), (0, 0)]
    mode = "constant" if plan.centred else "reflect"
    return np.pad(stack, ends, mode=mode), starts


def _restore(rows, sides, size, starts):
    """Undo `_fit` for the rows that come out of it."""
    depth, height, width = sides
    _, top, left = starts
    for row in itertools.islice(rows, starts[0], starts[0] + depth):
        if size is not None:
            yield resize_image(row, (height, width))
        else:
            yield row[top : top + height, left : left + width]


def _predict_batch(model, windows, flat, test_time_augmentation):
    windows = windows[:, 0] if flat else windows
    axes = range(1, windows.ndim - 1)
    mirrors = [
        mirror
        for count in range(len(axes) + 1 if test_time_augmentation else 1)
        for mirror in itertools.combinations(axes, count)
    ]
    found = 0
    for mirror in mirrors:
        # PyTorch takes no view that runs backwards.
        turned = np.ascontiguousarray(np.flip(windows, mirror))
        answer = model.predict_on_batch(turned).astype("float32")
        found = found + np.flip(answer, mirror) / len(mirrors)
    if not np.isfinite(found).all():
        raise ValueError(
            f"{model.name} returns NaN or infinity. Its weights are broken, or "
            "its dtype is too narrow."
        )
    return found[:, None] if flat else found
