"""How a model sees an image of any size: whole, resized or in windows."""

import math
from typing import NamedTuple

import keras
import numpy as np

from dca_keras.prediction._sides import no_maps, side_multiple
from dca_keras.prediction._windows import shared_pixels

# A model for any size gets at most this many pixels or voxels at a time:
# 512×512, or 64×64×64.
PIXELS = 2**18


class PredictionPlan(NamedTuple):
    """How a model sees an image; `str` describes it.

    Args:
        size: Sides that the image is resized to; `None` to keep its scale.
        sides: The image's sides after resizing and padding.
        padded: Whether the image is padded.
        centred: Whether padding is zeros around the image, as around the
            crops of a training; otherwise it is a reflection at the far ends.
        window: Sides of the sliding window, what the model sees at a time.
        overlap: Overlap of neighbouring windows in pixels, one a side.
        multiple: Windows start at multiples of these, one a side.
    """

    size: tuple | None
    sides: tuple
    padded: bool
    window: tuple
    overlap: tuple
    multiple: tuple
    centred: bool = False

    def __str__(self):
        if self.size is not None:
            return f"resized to {_times(self.size)}, as in training"
        if self.window == self.sides:
            padding = f", padded to {_times(self.sides)}" * self.padded
            return f"whole{padding}"
        overlap = _times(self.overlap)
        return f"in windows of {_times(self.window)} that overlap by {overlap}"


def plan_prediction(
    model: keras.Model,
    sides: tuple[int, ...],
    *,
    window: bool | int | tuple[int, ...] | None = None,
    overlap: int | tuple[int, ...] | None = None,
) -> PredictionPlan:
    """Decide how a model sees an image of given sides.

    A 2-D model built for one size gets the image resized to that size, as in
    training; `window=True` keeps the image's scale and slides a window of the
    model's size over it. A 3-D model built for one size always gets sliding
    windows. A model built for any size gets the whole image, padded to
    multiples that the model takes; an image of more than 2^18 pixels
    (512×512 or 64×64×64) in windows of about that many.

    Args:
        model: A Keras model from images to maps of classes.
        sides: `(height, width)` or `(depth, height, width)` of the image, in
            pixels. A 2-D model takes a stack slice by slice.
        window: `None` for the above; `True` for windows of the model's own
            size; a number, or one a side, for windows of that size. An image
            no larger than the window is predicted whole.
        overlap: Least overlap of neighbouring windows in pixels, a number or
            one a side; `None` for a quarter of the window. The predictions
            are blended smoothly; if the overlap is at least the model's
            receptive field, they equal a prediction of the whole image.

    Returns:
        A `PredictionPlan`.

    Raises:
        ValueError: If `window` or `overlap` does not fit the model, or the
            model's maps have another size than its input.
    """
    own = model.input_shape[1:-1]
    sides = tuple(sides)[-len(own) :]
    if len(sides) < len(own):
        raise ValueError(
            f"`sides` must be {len(own)} for this model. Received: {sides}"
        )
    if None not in own and model.output_shape[1:-1] != own:
        raise no_maps(model)
    if window is None and len(own) == 2 and None not in own:
        if overlap is not None:
            raise ValueError(
                "`overlap` is for windows, and this model would get the image "
                f"resized to {_times(own)}. Add `window=True`."
            )
        size = None if sides == own else own
        return PredictionPlan(size, own, False, own, (0, 0), (1, 1))
    multiple = _multiples(model, own)
    whole = tuple(
        -(-side // step) * step if fixed is None else max(side, fixed)
        for side, fixed, step in zip(sides, own, multiple, strict=True)
    )
    window = _choose_window(window, own, whole, multiple)
    overlap = (
        [side // 4 for side in window]
        if overlap is None
        else _per_side("overlap", overlap, len(own), least=0)
    )
    for side, part, shared in zip(whole, window, overlap, strict=True):
        if side > part <= shared_pixels(shared):
            raise ValueError(
                "`overlap` must be less than two thirds of a window's side. "
                f"Received: {shared} for {part} pixels"
            )
    padded = whole != sides
    return PredictionPlan(
        None,
        whole,
        padded,
        window,
        tuple(overlap),
        multiple,
        centred=padded and None not in own,
    )


def _choose_window(window, own, whole, multiple):
    """Return a window's sides, none longer than the padded image's."""
    if window is None or window is True:
        edge = round(PIXELS ** (1 / len(own)))
        fits = math.prod(whole) <= PIXELS
        return tuple(
            fixed or (side if fits else min(side, -(-edge // step) * step))
            for fixed, side, step in zip(own, whole, multiple, strict=True)
        )
    wanted = _per_side("window", window, len(own), least=1)
    for side, fixed, step in zip(wanted, own, multiple, strict=True):
        if fixed is not None and side != fixed:
            raise ValueError(
                f"`window` must be the model's own size, {_times(own)}. "
                f"Received: {window!r}. True stands for it."
            )
        if side % step:
            raise ValueError(
                f"`window` must be multiples of {step} for this model. "
                f"Received: {window!r}. Nearest: "
                f"{max(step, round(side / step) * step)}"
            )
    return tuple(map(min, wanted, whole))


def _multiples(model, own):
    """Return what windows start at multiples of, one a side."""
    try:
        multiple = side_multiple(model)
    except ValueError:
        if None in own:
            raise
        multiple = 1  # The model takes no size but its own.
    return tuple(
        multiple if side is None else math.gcd(side, multiple) for side in own
    )


def _per_side(name, value, rank, least):
    sides = (value,) * rank if np.ndim(value) == 0 else tuple(value)
    if len(sides) != rank or not all(
        isinstance(side, int | np.integer) and side >= least for side in sides
    ):
        raise ValueError(
            f"`{name}` must be an integer from {least}, or {rank} of them. "
            f"Received: {value!r}"
        )
    return sides


def _times(sides):
    return "×".join("any" if side is None else str(side) for side in sides)
