"""Overlapping windows: where they lie, and one answer out of all of theirs."""

import itertools
import math

import numpy as np


def lay_windows(side, window, overlap, multiple=1):
    """Lays windows along one side, and weighs their pixels.

    At an end where a window meets another, half of `overlap` counts for
    nothing, because there the model would see a border that is none; then
    its weight rises as a raised cosine while the other's falls. So windows
    share at least `overlap` and the half of it for the rise, and a model
    whose receptive field is no larger than `overlap` says the same as on the
    whole side. At the ends of the side itself, pixels count in full.

    Args:
        side: Pixels of the side, at least `window`.
        window: Pixels of a window, more than `shared_pixels`.
        overlap: Pixels, see above.
        multiple: What windows start at multiples of, if there is room, so
            that poolings fall on the same pixels; the last one ends at the
            side's end.

    Returns:
        The windows' first pixels, and their weights `(windows, window)`; at
        every pixel of the side the weights sum to 1.
    """
    if side == window:
        return [0], np.ones((1, window), "float32")
    bare, rise = -(-overlap // 2), overlap // 2
    room = window - shared_pixels(overlap)
    step = room - room % multiple or room
    starts = [*range(0, side - window, step), side - window]
    ramp = np.sin((np.arange(rise) + 0.5) / max(rise, 1) * np.pi / 2) ** 2
    left = np.ones(window)
    left[: bare + rise] = np.concatenate([np.zeros(bare), ramp])
    weights = np.ones((len(starts), window))
    weights[1:] *= left
    weights[:-1] *= left[::-1]
    total = np.zeros(side)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + window] += weight
    for start, weight in zip(starts, weights, strict=True):
        weight /= total[start : start + window]
    return starts, weights.astype("float32")


def shared_pixels(overlap):
    """How many pixels neighbouring windows share at least."""
    return 2 * -(-overlap // 2) + overlap // 2


def blend_windows(predict, image, window, overlap, multiple, batch_size):
    """Predicts an image in windows.

    Besides the image and the answer, no more than one batch is in memory.

    Args:
        predict: A function of windows `(batch, …window, channels)` that gives
            `(batch, …window, classes)`.
        image: `(…sides, channels)`, no side smaller than the window's.
        window: The sides of a window.
        overlap, multiple: As in `lay_windows`, one a side.
        batch_size: Windows that are predicted together.

    Returns:
        `(…sides, classes)`, float32.
    """
    sides = image.shape[:-1]
    axes = [
        list(zip(*lay_windows(*axis), strict=True))
        for axis in zip(sides, window, overlap, multiple, strict=True)
    ]
    # The last axis fastest: windows of one batch are neighbours.
    places = itertools.product(*axes)
    blended = None
    for _ in range(0, math.prod(map(len, axes)), batch_size):
        batch = list(itertools.islice(places, batch_size))
        cuts = [
            tuple(
                slice(start, start + side)
                for (start, _), side in zip(place, window, strict=True)
            )
            for place in batch
        ]
        found = predict(np.stack([image[cut] for cut in cuts]))
        if blended is None:
            blended = np.zeros((*sides, found.shape[-1]), "float32")
        for place, cut, part in zip(batch, cuts, found, strict=True):
            weights = (weight for _, weight in place)
            blended[cut] += part * math.prod(np.ix_(*weights))[..., None]
    return blended
