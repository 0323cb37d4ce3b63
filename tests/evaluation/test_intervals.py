import numpy as np
import pytest
from scipy import stats

from dca_keras.evaluation._intervals import mean_intervals, nested_intervals
from dca_keras.evaluation._summary import summarize


def test_equals_scipys_percentile_bootstrap():
    values = np.random.default_rng(0).beta(8, 2, 60)
    mean, interval = mean_intervals(values, range(60))
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=0
    ).confidence_interval
    assert mean == pytest.approx(values.mean())
    # Both are draws: their ends scatter by about a hundredth of the width.
    width = np.ptp(expected)
    np.testing.assert_allclose(interval, expected, atol=0.05 * width)


def test_approaches_the_normal_interval():
    values = np.random.default_rng(1).normal(size=2000)
    _, interval = mean_intervals(values, range(2000))
    reach = 1.96 * values.std() / np.sqrt(2000)
    expected = values.mean() + reach * np.array([-1, 1])
    np.testing.assert_allclose(interval, expected, atol=0.05 * reach)


def test_draws_whole_cases():
    values = np.random.default_rng(2).normal(size=(20, 3))
    alone = mean_intervals(values, range(20))
    again = mean_intervals(np.repeat(values, 7, axis=0), np.arange(140) // 7)
    np.testing.assert_allclose(again[0], alone[0])
    np.testing.assert_allclose(again[1], alone[1])
    apart = mean_intervals(np.repeat(values, 7, axis=0), range(140))
    assert np.all(np.ptp(apart[1], axis=1) < 0.5 * np.ptp(alone[1], axis=1))


def test_cases_count_with_all_their_images():
    values = np.array([1.0, 0, 0, 0])
    mean, interval = mean_intervals(values, ["a", "b", "b", "b"])
    assert mean == 0.25
    np.testing.assert_array_equal(interval, [0, 1])


def test_leaves_out_what_is_not_defined():
    values = np.array([[1, np.nan, np.nan], [2, 5, np.nan], [6, 9, np.nan]])
    means, intervals = mean_intervals(values, range(3))
    np.testing.assert_array_equal(means, [3, 7, np.nan])
    np.testing.assert_array_equal(intervals[1:], [[5, 9], [np.nan, np.nan]])


def test_one_case_has_no_interval():
    mean, interval = mean_intervals([0.5, 0.7], ["a", "a"])
    assert mean == pytest.approx(0.6)
    assert np.isnan(interval).all()


def test_is_the_same_every_time():
    values = np.random.default_rng(3).random((12, 6))
    first, second = (mean_intervals(values, range(12)) for _ in range(2))
    np.testing.assert_array_equal(first[1], second[1])


def test_summaries_count_what_is_undefined():
    scores = np.full((4, 3, 6), 0.5)
    scores[0, 1, 4] = scores[1, 1:, 4] = np.nan
    summary = summarize(scores, ["a", "b", "c", "d"])
    assert summary.keys() == {"foreground", "with_background", "per_class"}
    hd95 = summary["foreground"]["hd95"]
    assert (hd95["defined"], hd95["undefined"]) == (3, 3)
    assert hd95["mean"] == 0.5
    assert summary["per_class"]["1"]["hd95"]["undefined"] == 2
    assert summary["per_class"]["0"]["hd95"]["undefined"] == 0
    assert summary["with_background"]["hd95"]["defined"] == 4
    nothing = summarize(np.full((2, 1, 6), np.nan), ["a", "b"])
    assert nothing["foreground"]["assd"] == {
        "mean": None,
        "interval": None,
        "defined": 0,
        "undefined": 2,
    }
    assert nothing.keys() == {"foreground", "per_class"}


def draw_slowly(groups, resamples, seed):
    """The nested bootstrap of one score in plain loops."""
    freedom = sum(len(runs) - 1 for runs in groups)
    children = np.random.SeedSequence(seed).spawn(len(groups))
    generators = [np.random.default_rng(child) for child in children]
    cases = groups[0].shape[1]
    rng = np.random.default_rng(seed)
    places = rng.integers(cases, size=(resamples, cases))
    chosen = [
        rng.integers(len(runs), size=(resamples, len(runs)))
        for rng, runs in zip(generators, groups, strict=True)
    ]
    means = []
    for resample in range(resamples):
        values = []
        for case in places[resample]:
            value = 0
            for sign, runs, drawn in zip((1, -1), groups, chosen, strict=False):
                known = [run[case] for run in runs if not np.isnan(run[case])]
                centre = sum(known) / len(known) if known else np.nan
                widen = 1
                if len(runs) > 1:
                    widen = stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975)
                    widen *= (len(runs) / (len(runs) - 1)) ** 0.5
                own = [
                    centre + widen * (runs[run, case] - centre)
                    for run in drawn[resample]
                    if not np.isnan(runs[run, case])
                ]
                value += sign * (sum(own) / len(own) if own else np.nan)
            values += [] if np.isnan(value) else [value]
        means.append(sum(values) / len(values))
    return np.quantile(means, [0.025, 0.975])


@pytest.mark.parametrize("sizes", [(3,), (4, 2), (1, 3), (1, 1)])
def test_the_nested_bootstrap_is_that_of_plain_loops(sizes):
    rng = np.random.default_rng(0)
    groups = [rng.random((size, 7)) for size in sizes]
    groups[0][:, 5] = groups[0][1:2, 2] = np.nan
    mean, interval, cases = nested_intervals(
        *(runs[..., None] for runs in groups), resamples=300, seed=4
    )
    expected = draw_slowly(groups, 300, 4)
    np.testing.assert_allclose(interval[0], expected, rtol=1e-12)
    centres = [np.nanmean(np.delete(runs, 5, 1), axis=0) for runs in groups]
    value = centres[0] - centres[1] if len(sizes) > 1 else centres[0]
    assert mean[0] == pytest.approx(value.mean())
    assert cases[0] == 6


def test_one_run_has_the_interval_over_cases():
    values = np.random.default_rng(5).random((1, 30, 2))
    values[0, 3, 1] = np.nan
    mean, interval, _ = nested_intervals(values)
    expected = mean_intervals(values[0], range(30))
    np.testing.assert_allclose(mean, expected[0])
    np.testing.assert_allclose(interval, expected[1])


def cover(runs, cases, trials=300):
    """How often intervals of a difference hold the true one, which is 0.

    Returns:
        The shares of the nested interval and of that over cases alone.
    """
    rng = np.random.default_rng(6)
    hits = np.zeros(2)
    for _ in range(trials):
        case = rng.normal(0.8, 0.08, cases)
        seeds = rng.normal(0, 0.03, (2, runs, 1))
        noise = rng.normal(0, 0.03, (2, runs, cases))
        groups = (case + seeds + noise)[..., None]
        nested = nested_intervals(*groups, resamples=400)[1][0]
        apart = groups[0].mean(0) - groups[1].mean(0)
        alone = mean_intervals(apart, range(cases), resamples=400)[1][0]
        hits += [low <= 0 <= high for low, high in (nested, alone)]
    return hits / trials


@pytest.mark.parametrize("runs, cases", [(10, 100), (3, 40)])
def test_the_nested_interval_covers_what_it_says(runs, cases):
    nested, over_cases = cover(runs, cases)
    assert 0.92 < nested < 0.98
    assert over_cases < 0.5


def test_three_seeds_far_apart_decide_nothing():
    cases = np.random.default_rng(7).normal(0, 0.05, 14)
    plain, dca = (
        (np.array(means)[:, None] + cases)[..., None]
        for means in ((0.655, 0.565, 0.715), (0.517, 0.686, 0.635))
    )
    low, high = nested_intervals(dca, plain)[1][0]
    assert low < -0.1 and high > 0.1
    one, another = mean_intervals((dca - plain).mean(0)[:, 0], range(14))[1]
    assert another - one < 1e-9
