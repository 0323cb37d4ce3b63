import numpy as np
import pytest
from scipy import stats

from dca_keras.evaluation._intervals import mean_intervals, summarize


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
