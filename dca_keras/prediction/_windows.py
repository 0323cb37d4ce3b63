"""Sliding windows: their places, and one prediction blended from theirs."""

import collections
import itertools
import math

import numpy as np


def lay_windows(side, window, overlap, multiple=1):
    """Place windows along one side, and weight their pixels.

    Where a window meets another, its outermost `overlap / 2` pixels have
    weight 0, because there the model sees a border that the image does not
    have. Over the next `overlap / 2` pixels the weight rises as a raised
    cosine while the other window's falls. So neighbours share one and a half
    times `overlap`, and a model whose receptive field is at most `overlap`
    predicts the same as on the whole side. At the ends of the side itself,
    all pixels have full weight.

    Args:
        side: Pixels of the side, at least `window`.
        window: Pixels of a window, more than `shared_pixels`.
        overlap: Pixels, see above.
        multiple: Windows start at multiples of this number, if there is room,
            so that poolings fall on the same pixels; the last window ends at
            the side's end.

    Returns:
        The windows' first pixels, and their weights `(windows, window)`; the
        weights at each pixel of the side sum to 1.
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
    """Return the least number of pixels that neighbouring windows share."""
    return 2 * -(-overlap // 2) + overlap // 2


def stream_windows(predict, image, window, overlap, multiple, batch_size):
    """Predict an image in windows, and yield its finished rows in order.

    A row is an index of the first axis: a slice of a volume. It is finished
    when no later window reaches it. So memory holds the image, one batch and
    the rows that windows still reach, `window[0]` of them and no more.

    Args:
        predict: A function from windows `(batch, …window, channels)` to
            `(batch, …window, classes)`.
        image: `(…sides, channels)`, no side smaller than the window's.
        window: Sides of a window.
        overlap, multiple: As in `lay_windows`, one a side.
        batch_size: Number of windows that are predicted together.

    Yields:
        `(…sides[1:], classes)`, float32, for every index of the first side.
    """
    sides = image.shape[:-1]
    axes = [
        list(zip(*lay_windows(*axis), strict=True))
        for axis in zip(sides, window, overlap, multiple, strict=True)
    ]
    # The last axis varies fastest: windows of one batch are neighbours.
    places = itertools.product(*axes)
    rows, first = collections.deque(), 0
    for batch in iter(lambda: list(itertools.islice(places, batch_size)), []):
        cuts = [
            tuple(
                slice(start, start + side)
                for (start, _), side in zip(place, window, strict=True)
            )
            for place in batch
        ]
        found = predict(np.stack([image[cut] for cut in cuts]))
        for place, (down, *cut), part in zip(batch, cuts, found, strict=True):
            for _ in range(down.start - first):
                yield rows.popleft()
            first = down.start
            while len(rows) < window[0]:
                rows.append(np.zeros((*sides[1:], part.shape[-1]), "float32"))
            weights = math.prod(np.ix_(*(weight for _, weight in place)))
            for row, seen, weight in zip(rows, part, weights, strict=True):
                row[tuple(cut)] += seen * weight[..., None]
    yield from rows
