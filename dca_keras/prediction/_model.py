"""A model on an image of any size."""

import itertools
import math

import numpy as np

from dca_keras.data import resize_image
from dca_keras.prediction._ways import PIXELS, choose_way
from dca_keras.prediction._windows import blend_windows

# Above 1 and below 0, what rounding may leave of a value within.
ROUNDING = 1e-4


def predict(
    model, image, *, window=None, overlap=None, flips=False, batch_size=None
):
    """Probabilities of every pixel of an image, or of a stack of them.

    `choose_way` says how the image gets through the model. In memory are the
    image, the probabilities and one batch; where the image is padded or
    resized, that as well.

    Args:
        model: A model that returns probabilities.
        image: `(height, width, channels)`, numbers in [0, 1]; or `(depth,
            height, width, channels)`, for a 3-D model a volume and for a 2-D
            one a stack of slices.
        window, overlap: As in `choose_way`.
        flips: Whether to take the mean over the image and its mirror images,
            4 in 2-D and 8 in 3-D. Not for classes that only differ by side,
            such as the left and the right kidney.
        batch_size: Windows or slices that are predicted together; `None` for
            as many as have 2^18 pixels.

    Returns:
        `image.shape` with classes for channels, float32.

    Raises:
        ValueError: If `image` is not what its line above says or lacks the
            model's channels, or an option does not fit.
    """
    check_batch_size(batch_size)
    image = _check_image(model, image)
    way = choose_way(model, image.shape[:-1], window=window, overlap=overlap)
    flat = len(way.window) == 2  # Then a volume is so many slices.
    stack = image if image.ndim == 4 else image[None]
    if way.size is not None:
        stack = np.stack([resize_image(part, way.size) for part in stack])
    elif way.padded:
        inner = stack.shape[1:3] if flat else stack.shape[:3]
        ends = [(0, a - b) for a, b in zip(way.sides, inner, strict=True)]
        ends = [(0, 0)] * flat + ends + [(0, 0)]
        stack = np.pad(stack, ends, mode="reflect")
    found = blend_windows(
        lambda windows: _predict_batch(model, windows, flat, flips),
        stack,
        (1,) * flat + way.window,
        (0,) * flat + way.overlap,
        (1,) * flat + way.multiple,
        batch_size or max(1, PIXELS // math.prod(way.window)),
    )
    height, width = image.shape[-3:-1]
    if way.size is not None:
        found = np.stack(
            [resize_image(part, (height, width)) for part in found]
        )
    found = found[: None if flat else len(image), :height, :width]
    return found if image.ndim == 4 else found[0]


def to_mask(probabilities):
    """Decides on a class for every pixel.

    Args:
        probabilities: `(..., classes)`. One class is there where its
            probability is above 0.5; of several the likeliest wins.

    Returns:
        `(...)`, int32: {0, 1} for one class, else class indices.
    """
    if probabilities.shape[-1] == 1:
        return (probabilities[..., 0] > 0.5).astype("int32")
    return np.argmax(probabilities, axis=-1).astype("int32")


def check_batch_size(batch_size):
    """Raises `ValueError` unless it is a positive integer or `None`."""
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
            f"`image` must have a pixel at least. Received: {image.shape}"
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


def _predict_batch(model, windows, flat, flips):
    windows = windows[:, 0] if flat else windows
    axes = range(1, windows.ndim - 1)
    mirrors = [
        mirror
        for count in range(len(axes) + 1 if flips else 1)
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
            f"{model.name} gives NaN or infinity. Its weights are broken, or "
            "its dtype is too narrow."
        )
    return found[:, None] if flat else found
