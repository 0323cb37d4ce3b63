"""Means over images, with intervals from the bootstrap."""

import numpy as np

from dca_keras.evaluation._scores import SCORES, class_indices, mean_defined

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 0
BOOTSTRAP = {
    "method": "percentile bootstrap of the mean, whole cases resampled",
    "resamples": RESAMPLES,
    "level": LEVEL,
    "seed": SEED,
}
_BLOCK = 500  # resamples drawn at once: bounds the memory


def mean_intervals(values, cases, *, resamples=RESAMPLES, seed=SEED):
    """Means, and the range in which chance would leave them.

    Cases are drawn with replacement, as many as there are, each with all of
    its images, and the mean over the images drawn is taken; the interval
    holds the middle 95 % of such means. Images of one case are alike, and
    drawing them one by one would make the interval too narrow. It tells
    what other images could change, not what another training could.

    Args:
        values: `(images, ...)`; NaN is left out of the means.
        cases: The case of every image.
        resamples: How often to draw.
        seed: Of the draws.

    Returns:
        The means, of the shape `(...)`, and the intervals, `(..., 2)`. NaN
        where nothing is defined; an interval also where only one case has
        defined values.
    """
    values = np.asarray(values, "float64")
    flat = values.reshape(len(values), -1)
    names, rows = np.unique(np.asarray(cases), return_inverse=True)
    defined = ~np.isnan(flat)
    sums, counts = np.zeros((2, len(names), flat.shape[1]))
    np.add.at(sums, rows, np.where(defined, flat, 0))
    np.add.at(counts, rows, defined)
    means = _ratio(sums.sum(0), counts.sum(0))
    intervals = np.full((flat.shape[1], 2), np.nan)
    several = (counts > 0).sum(0) > 1
    if several.any():
        draws = _draw_means(sums, counts, resamples, seed)[:, several]
        tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        intervals[several] = np.nanquantile(draws, tails, axis=0).T
    shape = values.shape[1:]
    return means.reshape(shape), intervals.reshape(*shape, 2)


def summarize(scores, cases):
    """Means and intervals of tables of scores.

    Args:
        scores: `(rows, classes, 6)`; NaN is not defined.
        cases: The case of every row.

    Returns:
        A dictionary: `foreground`, `with_background` if there are several
        classes, and `per_class`.
    """
    classes = scores.shape[1]
    first = 0 if classes == 1 else 1
    groups = {"foreground": scores[:, first:]}
    if classes > 1:
        groups["with_background"] = scores
    return {
        **{key: _summarize(group, cases) for key, group in groups.items()},
        "per_class": {
            str(index): _summarize(scores[:, [place]], cases)
            for place, index in enumerate(class_indices(classes))
        },
    }


def plain(value):
    """A number as JSON has it: None where it is not defined."""
    return None if np.isnan(value) else float(value)


def plain_pair(pair):
    """An interval as JSON has it: None where it is not defined."""
    return None if np.isnan(pair).any() else [float(end) for end in pair]


def _summarize(scores, cases):
    values = mean_defined(scores, axis=1)  # (rows, 6)
    means, ranges = mean_intervals(values, cases)
    undefined = np.isnan(scores).sum(axis=(0, 1))
    defined = (~np.isnan(values)).sum(axis=0)
    return {
        name: {
            "mean": plain(means[place]),
            "interval": plain_pair(ranges[place]),
            "defined": int(defined[place]),
            "undefined": int(undefined[place]),
        }
        for place, name in enumerate(SCORES)
    }


def _draw_means(sums, counts, resamples, seed):
    """Means (resamples, columns) of cases drawn with replacement."""
    rng = np.random.default_rng(seed)
    cases = len(sums)
    means = []
    for start in range(0, resamples, _BLOCK):
        size = (min(_BLOCK, resamples - start), cases)
        drawn = rng.integers(cases, size=size)
        # How often each case is drawn: the sums are a product of matrices.
        offsets = cases * np.arange(len(drawn))[:, None]
        times = np.bincount((drawn + offsets).ravel(), minlength=drawn.size)
        times = times.reshape(drawn.shape).astype("float64")
        means.append(_ratio(times @ sums, times @ counts))
    return np.concatenate(means)


def _ratio(part, whole):
    return np.divide(
        part, whole, out=np.full_like(part, np.nan), where=whole > 0
    )
