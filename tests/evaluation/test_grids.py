"""Scores at the images' own size, of images and of volumes."""

import functools

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dca_keras import Run
from dca_keras.cli import app
from dca_keras.data import Preprocessing, Sample, resize_image
from dca_keras.evaluation import (
    OriginalGrid,
    evaluate_dataset,
    evaluate_model,
    evaluate_run,
)
from dca_keras.evaluation._scores import surface_distances
from dca_keras.prediction import load_run, predict, to_mask
from tests.tiny_run import tiny_recipe, write_images, write_run
from tests.volume_run import oracle, write_dataset, write_volume_run


@pytest.fixture(scope="module")
def shifted(tmp_path_factory):
    """Volumes whose labels lie one slice of 5 mm too low, and a run."""
    folder = tmp_path_factory.mktemp("volumes")
    data_dir = write_dataset(folder / "data", shift=1)
    return data_dir, write_volume_run(folder / "run", data_dir)


def test_volumes_are_scored_at_their_own_grid(tmp_path):
    data_dir = write_dataset(tmp_path / "data")
    run = write_volume_run(tmp_path / "run", data_dir)
    scores = evaluate_run(run)
    assert scores["grid"] == "original"
    assert scores["distance_unit"] == "mm"
    assert scores["image_size"] == [8, 16, 16]
    for case in scores["per_case"]:
        for values in case["per_class"].values():
            assert values["dice"] == values["iou"] == 1
            assert values["hd95"] == values["assd"] == 0
            assert values["true_pixels"] == values["predicted_pixels"] > 0


def test_distances_of_volumes_are_millimetres(shifted):
    _, run = shifted
    scores = evaluate_run(run)
    assert scores["class_names"] == {
        "0": "background",
        "1": "front",
        "2": "back",
    }
    for case in scores["per_case"]:
        for index in "12":
            assert 0.5 < case["per_class"][index]["dice"] < 1
            assert case["per_class"][index]["hd95"] == pytest.approx(5)
    # Whatever the spacing that the model works at.
    other = write_volume_run(
        run.parent / "coarse", shifted[0], spacing=[5.0, 1.0, 1.0]
    )
    coarse = evaluate_run(other)
    assert coarse["per_class"]["2"]["hd95"]["mean"] == pytest.approx(5, abs=0.7)
    pixels = [
        row["per_class"]["1"]["true_pixels"] for row in scores["per_image"]
    ]
    assert pixels == [
        row["per_class"]["1"]["true_pixels"] for row in coarse["per_image"]
    ]


def test_the_report_shows_planes_of_volumes(shifted):
    _, folder = shifted
    evaluate_run(folder, "train")
    run = Run(folder)
    page = run.path("report", "train").read_text()
    assert "at their own size; the model works at 8×16×16 pixels" in page
    with Image.open(run.path("pictures", "train")) as picture:
        assert np.ptp(np.asarray(picture)) > 200


def test_any_model_is_scored_on_volumes(shifted, tmp_path):
    data_dir, run = shifted
    model, expected = oracle((8, 16, 16)), evaluate_run(run)
    options = {"data": "nnunet", "data_dir": data_dir}
    found = evaluate_dataset(
        model,
        tmp_path / "out",
        preprocessing=Run(run).preprocessing,
        **options,
    )
    assert found["per_case"] == expected["per_case"]
    with pytest.raises(ValueError, match="`preprocessing` must be given for"):
        evaluate_dataset(model, tmp_path / "out", **options)


def test_the_volumes_of_a_case_are_pooled():
    mask = np.zeros((6, 9, 9, 1), "int32")
    mask[2:4, 3:6, 3:6] = 1
    samples = [
        Sample(
            f"v{index}",
            "patient",
            functools.partial(
                lambda *pair: pair, np.roll(mask, index, 0).astype("f"), mask
            ),
            spacing=(3.0, 1.0, 1.0),
        )
        for index in range(3)
    ]
    scores = evaluate_model(
        oracle((8, 16, 16), classes=2),
        samples,
        image_size=(8, 16, 16),
        batch_size=1,
        grid=OriginalGrid(window=True),
    )
    (case,) = scores["per_case"]
    rows = [row["per_class"]["1"] for row in scores["per_image"]]
    assert [row["hd95"] for row in rows] == [0, 3, 6]
    assert case["per_class"]["1"]["hd95"] == pytest.approx(3)
    pixels = sum(row["true_positives"] for row in rows)
    assert case["per_class"]["1"]["true_positives"] == pixels


def test_resized_runs_can_be_scored_at_the_original_grid(tmp_path):
    data_dir = write_images(tmp_path / "images", ((40, 48), (20, 90)))
    folder = write_run(tmp_path / "run", tiny_recipe(data_dir))
    resized, model = evaluate_run(folder), load_run(folder)[0]
    words = ["evaluate", folder, "--grid", "original"]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    scores = Run(folder).scores()
    assert (resized["grid"], scores["grid"]) == ("resized", "original")
    test = Run(folder).recipe.read_dataset().test
    for sample, row in zip(test, scores["per_image"], strict=True):
        image, mask = sample.load()
        found = model.predict_on_batch(resize_image(image, (32, 32))[None])[0]
        found = to_mask(resize_image(found, image.shape[:2]))
        np.testing.assert_array_equal(found, to_mask(predict(model, image)))
        values = row["per_class"]["1"]
        assert values["true_pixels"] == mask.sum()
        assert values["true_positives"] == np.sum(found * mask[..., 0])
        distances = surface_distances(mask[..., 0] > 0, found > 0, (1, 1))
        expected = None if np.isnan(distances[0]) else distances[0]
        assert values["hd95"] == pytest.approx(expected)
    result = CliRunner().invoke(app, [*map(str, words[:3]), "half"])
    assert result.exit_code == 2
    assert "`--grid` must be one of 'resized', 'original'" in result.stderr


def test_runs_on_crops_are_scored_in_windows(tmp_path):
    data_dir = write_images(tmp_path / "images", ((40, 48), (20, 90)))
    recipe = tiny_recipe(data_dir, sampling="crop")
    folder = write_run(tmp_path / "run", recipe)
    scores, model = evaluate_run(folder), load_run(folder)[0]
    assert scores["grid"] == "original"
    for sample, row in zip(
        recipe.read_dataset().test, scores["per_image"], strict=True
    ):
        image, _ = sample.load()
        found = to_mask(predict(model, image, window=True))
        assert row["per_class"]["1"]["predicted_pixels"] == found.sum()
    with pytest.raises(ValueError, match="`grid` must be 'original' for a mod"):
        evaluate_run(folder, grid="resized")


def test_pictures_of_volumes_are_in_the_unit_range():
    values = np.linspace(-100, 200, 60).reshape(3, 4, 5, 1)
    sample = Sample("a", "a", lambda: (values, values))
    picture = OriginalGrid(Preprocessing(None, ((-50, 150),))).picture(sample)
    assert (picture.min(), picture.max()) == (0, 1)
    assert picture.shape == values.shape
