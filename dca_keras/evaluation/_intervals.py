"""Means and their intervals, from the bootstrap.

Two questions, two functions: what other cases could change in the scores of
one trained model (`mean_intervals`), and what other cases and other seeds
could change in the scores of a recipe (`nested_intervals`).
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from dca_keras.evaluation._scores import mean_defined

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 0
BOOTSTRAP = {
    "method": "percentile bootstrap of the mean, whole cases resampled",
    "resamples": RESAMPLES,
    "level": LEVEL,
    "seed": SEED,
}
NESTED_BOOTSTRAP = BOOTSTRAP | {
    "method": "percentile bootstrap of the mean, runs and whole cases "
    "resampled; the spread of the runs is widened to that of Student's t"
}
_BLOCK = 500  # resamples drawn at once: bounds the memory
_TAILS = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]


def mean_intervals(
    values: np.ndarray,
    cases: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean over images and its 95 % interval over cases.

    Cases are drawn with replacement, as many as there are, each with all of
    its images, and the mean over the images drawn is taken; the interval
    holds the middle 95 % of such means. Images of one case are alike, and
    drawing them one by one would make the interval too narrow.

    The interval covers the choice of the cases for one trained model. It
    does not cover the training: with another seed the same recipe can score
    outside of it. For a recipe's scores see `compare`. With fewer than 50
    cases the interval is somewhat too narrow.

    Args:
        values: Floats `(images, ...)`; NaN is left out of the means.
        cases: The case of every image.
        resamples: How many means to draw.
        seed: Seed of the draws.

    Returns:
        The means `(...)` and the intervals `(..., 2)`. NaN where nothing is
        defined; an interval is NaN also where only one case has defined
        values.
    """
    values = np.asarray(values, "float64")
    flat = values.reshape(len(values), -1)
    names, rows = np.unique(np.asarray(cases), return_inverse=True)
    defined = ~np.isnan(flat)
    sums, counts = np.zeros((2, len(names), flat.shape[1]))
    np.add.at(sums, rows, np.where(defined, flat, 0))
    np.add.at(counts, rows, defined)
    means = _ratio(sums.sum(0), counts.sum(0))
    draws = np.concatenate(
        [
            _ratio(times @ sums, times @ counts)
            for times in _draw(len(names), resamples, seed)
        ]
    )
    intervals = _intervals(draws, (counts > 0).sum(0) > 1)
    shape = values.shape[1:]
    return means.reshape(shape), intervals.reshape(*shape, 2)


def nested_intervals(
    runs: np.ndarray,
    minus: np.ndarray | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute a recipe's mean score and its interval over runs and cases.

    A recipe's score is the mean over its runs (trainings that differ in
    nothing but the seed) of a case's score, then the mean over the cases.
    For the interval, runs and cases are both drawn with replacement, as many
    as there are; it holds the middle 95 % of the means drawn. For the
    difference of two recipes each has its own runs drawn, and both the same
    cases.

    Of R runs, the mean of R drawn ones spreads too little, and the less the
    fewer there are: of three it never leaves the range of the three, which
    holds the true mean in three cases of four. So each run's deviation from
    the mean of its recipe's runs is first multiplied by
    `sqrt(R / (R - 1)) t / z`, with the quantiles of Student's t (the degrees
    of freedom of all runs) and of the normal distribution: the interval is
    then as wide as a t-interval where only the runs vary.

    A recipe with a single run says nothing about seeds: the interval then
    covers, for that recipe, the choice of the cases only.

    Args:
        runs: Floats `(runs, cases, scores)`; NaN is not defined.
        minus: The runs of another recipe on the same cases, `(other runs,
            cases, scores)`, to be subtracted; None for the score itself.
        resamples: How many means to draw.
        seed: Seed of the draws.

    Returns:
        The means `(scores,)`, the intervals `(scores, 2)`, and the number of
        cases in which each is defined, `(scores,)`.
    """
    groups = [runs] if minus is None else [runs, minus]
    groups = [np.asarray(group, "float64") for group in groups]
    signs = (1, -1)[: len(groups)]
    per_case = _combine(signs, [mean_defined(g, axis=0) for g in groups])
    defined = ~np.isnan(per_case)
    cases, scores = per_case.shape
    freedom = sum(len(group) - 1 for group in groups)
    widened = [_widen(group, freedom) for group in groups]
    seeds = np.random.SeedSequence(seed).spawn(len(groups))
    draws = []
    for times, *chosen in zip(
        _draw(cases, resamples, seed),
        *(
            _draw(len(group), resamples, own)
            for group, own in zip(groups, seeds, strict=True)
        ),
        strict=True,
    ):
        drawn = _combine(
            signs,
            [_mean_runs(*pair) for pair in zip(chosen, widened, strict=True)],
        )  # (resamples, cases, scores)
        there = ~np.isnan(drawn)
        sums = np.einsum("rc,rcs->rs", times, np.where(there, drawn, 0))
        draws.append(_ratio(sums, np.einsum("rc,rcs->rs", times, there)))
    intervals = _intervals(np.concatenate(draws), defined.sum(0) > 1)
    return mean_defined(per_case, axis=0), intervals, defined.sum(axis=0)


def _widen(runs, freedom):
    """Runs whose drawn means spread as Student's t has it."""
    count = len(runs)
    if count == 1:
        return runs
    ratio = stats.t.ppf(_TAILS[1], freedom) / stats.norm.ppf(_TAILS[1])
    centre = mean_defined(runs, axis=0)
    return centre + np.sqrt(count / (count - 1)) * ratio * (runs - centre)


def _mean_runs(times, runs):
    """Means (resamples, cases, scores) of drawn runs, NaN if undefined."""
    defined = ~np.isnan(runs)
    flat = (len(runs), -1)
    sums = times @ np.where(defined, runs, 0).reshape(flat)
    counts = times @ defined.reshape(flat).astype("float64")
    return _ratio(sums, counts).reshape(-1, *runs.shape[1:])


def _combine(signs, parts):
    return sum(sign * part for sign, part in zip(signs, parts, strict=True))


def _intervals(draws, several):
    """The middle of each column's draws, NaN but for `several` cases."""
    intervals = np.full((draws.shape[1], 2), np.nan)
    if several.any():
        intervals[several] = np.nanquantile(draws[:, several], _TAILS, axis=0).T
    return intervals


def _draw(count, resamples, seed):
    """Blocks (resamples, count) of how often each of `count` is drawn."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, _BLOCK):
        size = (min(_BLOCK, resamples - start), count)
        drawn = rng.integers(count, size=size)
        offsets = count * np.arange(len(drawn))[:, None]
        times = np.bincount((drawn + offsets).ravel(), minlength=drawn.size)
        yield times.reshape(drawn.shape).astype("float64")


def _ratio(part, whole):
    return np.divide(
        part, whole, out=np.full_like(part, np.nan), where=whole > 0
    )
