import io

import numpy as np
import pytest
from PIL import Image, ImageColor

from dca_keras._drawing import CLASS_COLOURS
from dca_keras.evaluation._charts import (
    draw_differences,
    draw_distribution,
    draw_history,
)
from dca_keras.plotting import (
    OUTLINE_COLOURS,
    Case,
    _masks,
    draw_outlines,
    draw_overlay,
    pick_cases,
    save_predictions,
)


@pytest.mark.parametrize("count", range(1, 12))
def test_picks_the_best_the_median_and_the_worst(count):
    scores = np.random.default_rng(count).permutation(count) / count
    picked = pick_cases(scores)
    labels, indices = zip(*picked, strict=True)
    assert len(set(indices)) == len(indices) <= 6
    assert len(indices) >= min(count, 5)
    assert sorted(scores[list(indices)])[::-1] == list(scores[list(indices)])
    by_label = dict(picked)
    assert scores[by_label["best"]] == scores.max()
    if count > 1:
        assert scores[by_label["worst"]] == scores.min()
    if count > 2 and count % 2:
        assert scores[by_label["median"]] == np.median(scores)


@pytest.mark.parametrize("channels, classes", [(1, 1), (3, 1), (3, 12)])
def test_draws_a_picture(tmp_path, channels, classes):
    rng = np.random.default_rng(0)
    cases = [
        Case(
            label=f"case {height}",
            image=rng.random((height, 32, channels), "float32"),
            truth=rng.integers(0, classes + 1, (height, 32)),
            prediction=rng.integers(0, classes + 1, (height, 32)),
        )
        for height in (24, 40)
    ]
    save_predictions(tmp_path / "new" / "p.png", cases, title="Two cases")
    with Image.open(tmp_path / "new" / "p.png") as picture:
        assert picture.size[0] > 500
        assert np.ptp(np.asarray(picture)) > 200


def test_tells_the_errors_apart():
    truth = np.array([[0, 1, 0, 1, 2]])
    prediction = np.array([[0, 1, 1, 0, 1]])
    kinds = ["background", *_masks._ERROR_COLOURS]
    errors = _masks._error_map(truth, prediction)[0]
    assert [kinds[error] for error in errors] == [
        "background",
        "true positive",
        "false positive",
        "false negative",
        "wrong class",
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_overlay_tints_the_mask_alone(channels):
    image = np.full((9, 9, channels), 0.2, "float32")
    mask = np.zeros((9, 9), "int32")
    mask[2:7, 2:7] = 1
    overlay = draw_overlay(image, mask)
    assert overlay.shape == (9, 9, 3)
    assert overlay.dtype == "uint8"
    assert np.all(overlay[mask == 0] == 51)
    outline, inside = overlay[2, 4], overlay[4, 4]
    assert tuple(outline) == ImageColor.getrgb(CLASS_COLOURS[0])
    assert np.all((inside > 51) & (inside < outline))


@pytest.mark.parametrize("channels, side", [(1, 32), (3, 400)])
def test_outlines_lie_on_their_masks(channels, side):
    image = np.full((side, side, channels), 0.2, "float32")
    truth, prediction = np.zeros((2, side, side), "int32")
    truth[4:20, 4:20] = 1
    prediction[10:26, 4:20] = 2
    picture = draw_outlines(image, truth, prediction)
    times = len(picture) // side
    assert times * side == len(picture) >= 384
    colours = {
        name: np.all(picture == ImageColor.getrgb(colour), axis=-1)
        for name, colour in OUTLINE_COLOURS.items()
    }
    line = sum(colours.values())
    assert np.all(picture[line == 0] == 51)
    large = [
        mask.repeat(times, 0).repeat(times, 1) for mask in (truth, prediction)
    ]
    assert np.all(large[0][colours["truth"]] == 1)
    assert np.all(large[1][colours["prediction"]] == 2)
    # Their left and right sides agree where both are; top and bottom differ.
    assert colours["both"][15 * times, 4 * times]
    assert colours["truth"][4 * times, 12 * times]
    assert colours["prediction"][26 * times - 1, 12 * times]


HISTORY = {"epoch": [1, 2, 3], "val_dice": [0.1, 0.5, 0.4]}
DIFFERENCES = {
    "b": {"mean": 0.1, "interval": (-0.1, 0.3)},
    "c": {"mean": 0.2, "interval": None},
}
CHARTS = [
    (draw_distribution, ({"foreground": [0.5]},)),
    (draw_distribution, ({"a": [0.5, 0.7, 1.0], "b": [0.0, 0.2, 0.9]},)),
    (draw_history, (HISTORY,)),
    (draw_history, (HISTORY | {"loss": [3, 2, 1], "dice": [0, 0.5, 1]}, 2)),
    (draw_history, ({"epoch": [1], "val_dice": [0.3], "val_loss": [1]},)),
    (draw_differences, (DIFFERENCES, "Dice")),
]


@pytest.mark.parametrize("draw, arguments", CHARTS)
def test_draws_a_chart(draw, arguments):
    with Image.open(io.BytesIO(draw(*arguments))) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    assert 800 < pixels.shape[1] < 900
    blue = (pixels[..., 2].astype(int) - pixels[..., 0]) > 100
    assert blue.sum() > 20


def test_the_legend_names_the_classes():
    def labels(*arguments):
        return [patch.get_label() for patch in _masks._legend(*arguments)][4:]

    assert labels(2, ["front", "back"]) == ["front", "back"]
    assert labels(3, ["front"]) == ["front", "class 2", "class 3"]
    assert labels(2, ()) == ["class 1", "class 2"]
