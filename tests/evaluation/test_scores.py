"""Scores, against scikit-learn, MedPy and by hand."""

import numpy as np
import pytest

from dca_keras.evaluation._scores import (
    count_pixels,
    overlap_scores,
    score_classes,
    smoothed_scores,
    surface_distances,
)


def independent_scores(truth, prediction, spacing):
    """The six scores of one class, by other people's code."""
    binary = pytest.importorskip("medpy.metric.binary")
    metrics = pytest.importorskip("sklearn.metrics")
    flat = truth.ravel(), prediction.ravel()
    return [
        metrics.f1_score(*flat),
        metrics.jaccard_score(*flat),
        metrics.precision_score(*flat),
        metrics.recall_score(*flat),
        binary.hd95(prediction, truth, spacing),
        binary.assd(prediction, truth, spacing),
    ]


def blobs(rng, shape, classes):
    """Two masks that agree here and there, of rough regions."""
    from scipy.ndimage import gaussian_filter

    field = rng.normal(size=(2, *shape))
    field[1] = field[0] + 0.5 * field[1]
    smooth = [gaussian_filter(part, 2) for part in field]
    edges = np.quantile(smooth[0], np.linspace(0, 1, max(classes, 2) + 1)[1:-1])
    return [np.digitize(part, edges).astype("int32") for part in smooth]


@pytest.mark.parametrize(
    "shape, spacing",
    [
        ((40, 52), (1, 1)),
        ((33, 17), (0.7, 2.5)),
        ((1, 30), (1, 1)),
        ((9, 24, 30), (5, 0.8, 0.9)),
    ],
)
@pytest.mark.parametrize("classes", [1, 4])
def test_scores_agree_with_scikit_learn_and_medpy(shape, spacing, classes):
    rng = np.random.default_rng(len(shape) + classes)
    for _ in range(3):
        truth, prediction = blobs(rng, shape, classes)
        counts = count_pixels(truth, prediction, classes)
        scores = score_classes(truth, prediction, counts, spacing)
        indices = [1] if classes == 1 else range(classes)
        expected = [
            independent_scores(truth == index, prediction == index, spacing)
            for index in indices
        ]
        np.testing.assert_allclose(scores, expected, atol=1e-9)
        assert np.all(scores[:, 0] < 1)


NAN = np.nan
EMPTY = [
    # truth, prediction: Dice, IoU, precision, recall, HD95, ASSD
    ("neither", 0, 0, [1, 1, 1, 1, 0, 0]),
    ("only true", 1, 0, [0, 0, NAN, 0, NAN, NAN]),
    ("only predicted", 0, 1, [0, 0, 0, NAN, NAN, NAN]),
    ("both", 1, 1, [1, 1, 1, 1, 0, 0]),
]


@pytest.mark.parametrize("name, true, found, expected", EMPTY)
def test_what_empty_masks_score(name, true, found, expected):
    square = np.zeros((6, 6), "int32")
    square[1:4, 2:5] = 1
    masks = true * square, found * square
    scores = score_classes(*masks, count_pixels(*masks, 1), (1, 1))
    np.testing.assert_array_equal(scores, [expected])


def test_distances_are_those_of_the_spacing():
    masks = np.zeros((2, 8, 8, 8), bool)
    masks[0, 1, 2, 3] = masks[1, 4, 2, 7] = True
    step = 5.0, 1.0, 0.5
    expected = np.hypot(3 * 5.0, 4 * 0.5)
    np.testing.assert_allclose(surface_distances(*masks, step), expected)
    flat = masks.any(axis=1)
    np.testing.assert_allclose(surface_distances(*flat, step[1:]), 2.0)


def test_distances_by_hand():
    truth, prediction = np.zeros((2, 1, 12), bool)
    truth[0, :2] = prediction[0, [0, 11]] = True
    # From truth 0 and 1, from prediction 0 and 10.
    hd95, assd = surface_distances(truth, prediction, (1, 1))
    assert assd == pytest.approx(11 / 4)
    assert hd95 == pytest.approx(np.percentile([0, 1, 0, 10], 95))


def test_nothing_is_a_surface_between_classes():
    """Only the class itself counts; the picture's edge is an outline."""
    mask = np.ones((5, 5), bool)
    inner = np.zeros((5, 5), bool)
    inner[1:4, 1:4] = True
    hd95, assd = surface_distances(mask, inner, (1, 1))
    assert assd == pytest.approx((12 * 1 + 4 * np.sqrt(2) + 8 * 1) / 24)


def test_overlaps_have_any_leading_shape():
    counts = np.array([[[2, 4, 3], [0, 0, 5]]])
    np.testing.assert_allclose(
        overlap_scores(counts),
        [[[4 / 7, 2 / 5, 2 / 4, 2 / 3], [0, 0, np.nan, 0]]],
    )
    np.testing.assert_allclose(
        smoothed_scores(counts),
        [[(5 / 8 + 1 / 6) / 2, (3 / 6 + 1 / 6) / 2]],
    )


@pytest.mark.parametrize(
    "truth, prediction, classes, message",
    [
        (2, 0, 1, "`truth` must hold class indices from 0 to 1. Received: 2"),
        (0, 3, 3, "`prediction` must hold class indices from 0 to 2"),
        (-1, 0, 3, "`truth` must hold class indices .* Received: -1 to -1"),
    ],
)
def test_refuses_other_classes(truth, prediction, classes, message):
    masks = np.full((4, 4), truth), np.full((4, 4), prediction)
    with pytest.raises(ValueError, match=message):
        count_pixels(*masks, classes)
