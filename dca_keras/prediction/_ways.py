"""How an image of any size gets through a model."""

import math
import weakref
from typing import NamedTuple

import keras
import numpy as np

from dca_keras.prediction._windows import shared_pixels

# A model for any size gets at most so many pixels or voxels at once: 512×512,
# or 64×64×64.
PIXELS = 2**18
_divisors = weakref.WeakKeyDictionary()


class Way(NamedTuple):
    """How an image gets through a model; `str` says it in words.

    Args:
        size: Sides that the image is resized to; `None` to keep its scale.
        sides: Of the image when it is resized and padded.
        padded: Whether it is padded, by reflection at the far ends.
        window: Sides that the model sees at a time.
        overlap: Of neighbouring windows, in pixels, one a side.
        multiple: What windows start at multiples of, one a side.
    """

    size: tuple | None
    sides: tuple
    padded: bool
    window: tuple
    overlap: tuple
    multiple: tuple

    def __str__(self):
        if self.size is not None:
            return f"resized to {_times(self.size)}, as in training"
        if self.window == self.sides:
            padding = f", padded to {_times(self.sides)}" * self.padded
            return f"whole{padding}"
        overlap = _times(self.overlap)
        return f"in windows of {_times(self.window)} that overlap by {overlap}"


def choose_way(model, sides, *, window=None, overlap=None):
    """Decides how an image gets through a model.

    A 2-D model built for one size gets the image resized to it, because that
    is how it was trained; `window=True` keeps the image's scale instead and
    cuts it into windows of that size. A 3-D model built for one size gets
    such windows always. A model built for any size gets the image whole,
    padded to what its poolings divide; one of more than 2^18 pixels (512×512
    or 64×64×64) in windows of about as many.

    Args:
        model: A Keras model from images to maps of classes.
        sides: `(height, width)` or `(depth, height, width)` of the image, in
            pixels. A 2-D model takes a stack slice by slice.
        window: `None` for the above; `True` for windows of the model's own
            size; one number or one a side for windows of that size. Where a
            window is as large as the image, that is predicted whole.
        overlap: Pixels that neighbouring windows overlap by at least, one
            number or one a side; `None` for a quarter of the window. What
            windows say is blended smoothly; where the model's receptive field
            is no larger than this, as if they were one.

    Returns:
        A `Way`.

    Raises:
        ValueError: If `window` or `overlap` does not fit the model, or its
            maps are of another size than its input.
    """
    own = model.input_shape[1:-1]
    sides = tuple(sides)[-len(own) :]
    if len(sides) < len(own):
        raise ValueError(
            f"`sides` must be {len(own)} for this model. Received: {sides}"
        )
    multiple = _multiples(model)
    if window is None and len(own) == 2 and None not in own:
        if overlap is not None:
            raise ValueError(
                "`overlap` is for windows, and this model would get the image "
                f"resized to {_times(own)}. Add `window=True`."
            )
        size = None if sides == own else own
        return Way(size, own, False, own, (0, 0), (1, 1))
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
    return Way(None, whole, whole != sides, window, tuple(overlap), multiple)


def _choose_window(window, own, whole, multiple):
    """The sides of a window, none longer than the padded image's."""
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


def _multiples(model):
    """What the sides of a window must be multiples of for a model."""
    own = model.input_shape[1:-1]
    if None in own:
        step = _divisor(model)
    elif model.output_shape[1:-1] == own:
        step = None
    else:
        raise _no_maps(model)
    # Of known sides it can't be found out. The zoo's poolings divide by 16 at
    # most.
    return tuple(step if side is None else math.gcd(side, 16) for side in own)


def _divisor(model):
    """The least power of two of which a model's free sides are multiples."""
    if model in _divisors:
        return _divisors[model]
    # Only this way does Keras trace a model without computing anything.
    probe = keras.layers.Lambda(lambda images: model(images))
    for step in (1, 2, 4, 8, 16, 32, 64):
        # 97 is a prime: nothing but the step's own factors divides it.
        sides = tuple(side or 97 * step for side in model.input_shape[1:-1])
        shape = (1, *sides, model.input_shape[-1])
        try:
            found = probe.compute_output_shape(shape)
        except Exception:  # Skips don't meet; backends have their own words.
            continue
        if tuple(found[1:-1]) == sides:
            return _divisors.setdefault(model, step)
    raise _no_maps(model)


def _no_maps(model):
    return ValueError(
        "`model` must give one map of its input's size. Received: "
        f"{model.name}, from {model.input_shape} to {model.output_shape}"
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
