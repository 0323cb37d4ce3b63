import csv
import functools
import json
import shutil

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from dca_keras._environment import environment
from dca_keras.cli import app
from dca_keras.data import (
    Sample,
    dataset_facts,
    read_dataset,
    resize_image,
    resize_mask,
)
from dca_keras.evaluation import (
    compare,
    evaluate_dataset,
    evaluate_model,
    evaluate_on,
    evaluate_run,
)
from dca_keras.evaluation._scores import SCORES
from dca_keras.export import saved_model
from dca_keras.metrics import DiceScore, IoU
from dca_keras.prediction import load_run
from dca_keras.run import Run
from tests.evaluation.test_scores import independent_scores
from tests.tiny_run import read_all, tiny_recipe, write_images, write_run


def noisy_samples(classes, count=5, side=8):
    """Masks, and images that show a noisy mask to an identity model."""
    rng = np.random.default_rng(0)
    samples = []
    for index in range(count):
        mask = rng.integers(0, max(classes, 2), (side, side, 1), "int32")
        maps = (mask == np.arange(classes)) if classes > 1 else mask
        image = 0.5 * maps + 0.6 * rng.random((side, side, classes))
        image = image.astype("float32")
        load = functools.partial(lambda *pair: pair, image, mask)
        samples.append(Sample(f"s{index}", f"s{index}", load))
    return samples


def identity(classes):
    inputs = keras.Input((8, 8, classes))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.mark.parametrize("classes", [1, 3])
def test_the_scores_are_those_of_the_metrics(classes):
    samples = noisy_samples(classes)
    result = evaluate_model(
        identity(classes), samples, image_size=(8, 8), batch_size=2
    )
    loaded = [sample.load() for sample in samples]
    images, masks = map(np.stack, zip(*loaded, strict=True))

    def score(metric, which=slice(None)):
        metric.update_state(masks[which], images[which])
        return pytest.approx(float(metric.result()), rel=1e-6)

    assert 0.5 < result["dice"] < 1
    assert result["dice"] == score(DiceScore(per_image=True))
    assert result["iou"] == score(IoU(per_image=True))
    assert result["dice_pooled"] == score(DiceScore(per_image=False))
    assert result["images"] == 5
    for index, image in enumerate(result["per_image"]):
        assert image["name"] == f"s{index}"
        assert image["dice"] == score(DiceScore(), [index])
        assert image["iou"] == score(IoU(), [index])


class Brightness:
    """A model that finds what is bright: the brighter, the higher a class."""

    def __init__(self, *edges, side=48):
        self.edges = edges
        self.input_shape = (None, side, side, 3)

    def predict_on_batch(self, images):
        levels = np.digitize(images.mean(-1), self.edges)
        if len(self.edges) == 1:
            return levels[..., None].astype("float32")
        return np.eye(len(self.edges) + 1, dtype="float32")[levels]


def test_scores_real_images_as_scikit_learn_and_medpy_do(data_folder):
    samples = read_dataset("image_folder", data_folder / "dsb2018").test[:12]
    model, size = Brightness(0.25), (96, 96)
    result = evaluate_model(model, samples, image_size=size, batch_size=5)
    assert result["distance_unit"] == "pixels of the original image"
    compared = 0
    for sample, row in zip(samples, result["per_image"], strict=True):
        image, mask = sample.load()
        truth = resize_mask(mask, size)[..., 0] == 1
        resized = resize_image(image, size)[None]
        found = model.predict_on_batch(resized)[0, ..., 0] == 1
        if not (truth.any() and found.any()):
            continue
        step = np.divide(image.shape[:2], size)
        np.testing.assert_allclose(
            [row["per_class"]["1"][name] for name in SCORES],
            independent_scores(truth, found, step),
            atol=1e-6,
        )
        compared += 1
    assert compared >= 8


def pooled_as_published(truths, masks, classes, size):
    """DSC and IoU: batches pooled and smoothed by 1, then their mean."""
    dsc, iou = [], []
    for start in range(0, len(truths), size):
        t, p = truths[start : start + size], masks[start : start + size]
        scores = []
        for index in [1] if classes == 1 else range(classes):
            overlap = np.sum((t == index) & (p == index))
            total = np.sum(t == index) + np.sum(p == index)
            scores.append(
                (
                    (2 * overlap + 1) / (total + 1),
                    (overlap + 1) / (total - overlap + 1),
                )
            )
        batch = np.mean(scores, axis=0)
        dsc.append(batch[0])
        iou.append(batch[1])
    return np.mean(dsc), np.mean(iou)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("published_batch", [None, 3, 5])
def test_the_published_scores_pool_batches(classes, published_batch):
    samples = noisy_samples(classes)
    result = evaluate_model(
        identity(classes),
        samples,
        image_size=(8, 8),
        batch_size=2,
        published_batch=published_batch,
    )
    images, masks = zip(*(sample.load() for sample in samples), strict=True)
    found = np.stack(images)
    found = found.argmax(-1) if classes > 1 else found[..., 0] > 0.5
    expected = pooled_as_published(
        np.stack(masks)[..., 0], found, classes, published_batch or 2
    )
    published = result["published"]
    np.testing.assert_allclose(
        [published["dsc"], published["iou"]], expected, rtol=1e-12
    )
    assert published["batch_size"] == (published_batch or 2)
    if published_batch == len(samples):
        assert published["dsc"] == pytest.approx(result["dice_pooled"])


def volume_samples(spacing, classes=3):
    """Two volumes, of three slices and of four, in another order."""
    rng = np.random.default_rng(5)
    samples = []
    for index, case in enumerate("ababbab"):
        levels = rng.integers(0, 4, (6, 4)).repeat(4, 0).repeat(3, 1)
        image = np.repeat(levels[..., None] / 4, 3, -1).astype("float32")
        mask = np.minimum(levels, classes - 1)[..., None].astype("int32")
        mask[: 4 * index] = 0  # The last one is empty.
        load = functools.partial(lambda *pair: pair, image, mask)
        samples.append(Sample(f"{case}{index}", case, load, (), spacing))
    return samples


def test_a_volume_is_measured_in_three_dimensions():
    binary = pytest.importorskip("medpy.metric.binary")
    samples = volume_samples((5.0, 0.5, 1.0))
    model = Brightness(0.2, 0.6)
    result = evaluate_model(model, samples, image_size=(12, 12), batch_size=3)
    assert result["distance_unit"] == "mm"
    assert (result["images"], result["cases"]) == (7, 2)
    step = 5.0, 0.5 * 24 / 12, 1.0 * 12 / 12
    for case in result["per_case"]:
        mine = [sample for sample in samples if sample.case == case["case"]]
        assert case["images"] == len(mine)
        images, masks = zip(*(sample.load() for sample in mine), strict=True)
        truth = np.stack([resize_mask(m, (12, 12))[..., 0] for m in masks])
        images = np.stack([resize_image(i, (12, 12)) for i in images])
        found = model.predict_on_batch(images).argmax(-1)
        for index in range(3):
            pair = found == index, truth == index
            scores = case["per_class"][str(index)]
            assert scores["dice"] == pytest.approx(binary.dc(*pair))
            assert scores["hd95"] == pytest.approx(binary.hd95(*pair, step))
            assert scores["assd"] == pytest.approx(binary.assd(*pair, step))
            assert scores["true_pixels"] == np.sum(pair[1])
    for row, sample in zip(result["per_image"], samples, strict=True):
        assert row["case"] == sample.case


def test_images_of_a_case_are_pooled():
    samples = volume_samples(None)
    result = evaluate_model(
        Brightness(0.2, 0.6), samples, image_size=(12, 12), batch_size=3
    )
    assert result["distance_unit"] == "pixels of the original image"
    for case in result["per_case"]:
        rows = [r for r in result["per_image"] if r["case"] == case["case"]]
        for index, scores in case["per_class"].items():
            mine = [row["per_class"][index] for row in rows]
            for name in ("true_pixels", "predicted_pixels"):
                assert scores[name] == sum(image[name] for image in mine)
            defined = [s["hd95"] for s in mine if s["hd95"] is not None]
            assert scores["hd95"] == pytest.approx(np.mean(defined))
    over_cases = result["over_cases"]["foreground"]["dice"]["mean"]
    dice = [
        np.mean([case["per_class"][index]["dice"] for index in "12"])
        for case in result["per_case"]
    ]
    assert over_cases == pytest.approx(np.mean(dice))


def test_without_a_spacing_for_all_distances_are_pixels():
    samples = volume_samples((5.0, 0.5, 1.0))
    mixed = [*samples[:-1], volume_samples(None)[-1]]
    arguments = {"image_size": (12, 12), "batch_size": 3}
    model = Brightness(0.2, 0.6)
    result = evaluate_model(model, mixed, **arguments)
    expected = evaluate_model(model, volume_samples(None), **arguments)
    assert result == expected


def test_refuses_what_it_cannot_score():
    arguments = {"image_size": (12, 12), "batch_size": 3}
    with pytest.raises(ValueError, match="`samples` is empty"):
        evaluate_model(Brightness(0.5), [], **arguments)
    with pytest.raises(ValueError, match="`truth` must hold .* as many class"):
        evaluate_model(Brightness(0.5), volume_samples(None), **arguments)


def test_nothing_there_and_nothing_found_is_a_hit():
    empty = np.zeros((8, 8, 1), "float32"), np.zeros((8, 8, 1), "int32")
    sample = Sample("s", "s", lambda: empty)
    result = evaluate_model(
        identity(1), [sample], image_size=(8, 8), batch_size=2
    )
    assert result["dice"] == result["iou"] == result["dice_pooled"] == 1


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture
def run(tmp_path, data_dir):
    return write_run(tmp_path / "run", tiny_recipe(data_dir))


def test_scores_a_run(run):
    result = evaluate_run(run)
    assert json.loads((run / "metrics.json").read_text()) == result
    assert (run / "predictions.png").stat().st_size > 1000
    assert result["model"] == "unet"
    assert result["dca"] is False
    assert result["split"] == "test"
    assert result["protocol"] == "held_out"
    assert (result["epochs"], result["best_epoch"]) == (3, 2)
    assert result["training_seconds"] == 4.5
    assert result["parameters"] == 2873
    assert result["command"].startswith("dca-keras train --model unet")
    assert [image["name"] for image in result["per_image"]] == [
        "test-0",
        "test-1",
        "test-2",
    ]
    assert result["variant"] == "plain"
    assert result["recipe"]["data_dir"] == "images"
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row, image in zip(rows, result["per_image"], strict=True):
        assert row["name"] == image["name"]
        assert float(row["dice"]) == image["dice"]
        assert float(row["recall_1"]) == image["per_class"]["1"]["recall"]
    assert "test-0" in (run / "report.html").read_text()
    evaluate_run(run, "val")
    assert (run / "report_val.html").stat().st_size > 10_000
    assert (run / "metrics_val.csv").exists()
    assert json.loads((run / "metrics.json").read_text()) == result
    other = json.loads((run / "metrics_val.json").read_text())
    assert other["split"] == "val"


def test_scores_the_last_epoch_elsewhere(run, tmp_path):
    best = evaluate_run(run)
    assert best["epoch"] == "best"
    model = Run(run).load_model()
    *others, bias = model.get_weights()
    model.set_weights([*others, bias + 1e6])  # Everything is foreground.
    model.save(run / "last.keras")
    before = read_all(run)
    for output in (None, run, run / "." / ".." / run.name):
        with pytest.raises(ValueError, match="`output` must be given for the"):
            evaluate_run(run, epoch="last", output=output)
    with pytest.raises(ValueError, match="must be 'best' or 'last'.*'first'"):
        evaluate_run(run, epoch="first", output=tmp_path / "other")
    last = evaluate_run(run, epoch="last", output=tmp_path / "last")
    assert last["epoch"] == "last"
    assert last["foreground"]["recall"]["mean"] == 1 > best["dice"]
    written = json.loads((tmp_path / "last" / "metrics.json").read_text())
    assert written == last
    assert "last epoch" in (tmp_path / "last" / "report.html").read_text()
    assert read_all(run) == before
    (first, second) = compare([run, tmp_path / "last"])["groups"]
    assert (first["name"], second["name"]) == ("unet", "unet at the last epoch")


def test_says_when_the_test_split_was_not_held_out(tmp_path, data_dir):
    recipe = tiny_recipe(data_dir, protocol="paper")
    run = write_run(tmp_path / "run", recipe)
    test, val = evaluate_run(run), evaluate_run(run, "val")
    assert test["protocol"] == val["protocol"] == "paper"
    assert test["per_image"] == val["per_image"]
    assert "--protocol paper" in test["command"]


def test_follows_a_dataset_that_moved(run, data_dir, tmp_path):
    expected = evaluate_run(run)
    moved = shutil.copytree(data_dir, tmp_path / "moved")
    (moved / "test" / "images" / "new.png").write_bytes(
        (moved / "test" / "images" / "0.png").read_bytes()
    )
    (moved / "test" / "masks" / "new.png").write_bytes(
        (moved / "test" / "masks" / "0.png").read_bytes()
    )
    assert evaluate_run(run, data_dir=moved) == expected
    for kind in ("images", "masks"):
        (moved / "test" / kind / "1.png").unlink()
    with pytest.raises(ValueError, match="lacks 1 of the 3 .*: test-1. Rest"):
        evaluate_run(run, data_dir=moved)


def test_says_what_is_wrong_with_a_split(run):
    with pytest.raises(ValueError, match="`split` must be one of .*'all'"):
        evaluate_run(run, "all")


def test_scores_any_model_on_any_dataset(tmp_path, data_dir):
    model = Brightness(0.3)
    result = evaluate_dataset(
        model,
        tmp_path / "out",
        data="image_folder",
        data_dir=data_dir,
        split="val",
        facts={"model": "threshold"},
    )
    assert (result["model"], result["protocol"]) == ("threshold", None)
    assert result["image_size"] == [48, 48]
    assert result["dice"] > 0.9
    written = json.loads((tmp_path / "out" / "metrics_val.json").read_text())
    assert written == result
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "metrics_val.json",
        "metrics_val.csv",
        "predictions_val.png",
        "report_val.html",
    }
    model.input_shape = (None, None, None, 3)
    with pytest.raises(ValueError, match="`image_size` must be given"):
        evaluate_dataset(
            model, tmp_path, data="image_folder", data_dir=data_dir
        )


def test_pools_as_many_images_as_the_paper(tmp_path):
    samples = volume_samples(None)
    result = evaluate_on(
        Brightness(0.2, 0.6),
        samples,
        tmp_path,
        image_size=(12, 12),
        batch_size=2,
        facts={"model": "m", "data": "glas", "split": "test"},
        published_batch=dataset_facts("glas")["published_batch"],
    )
    assert result["published"]["batch_size"] == 20
    assert result["class_names"]["2"] == "class 2"


def test_scores_a_saved_model_as_the_run(run, data_dir, tmp_path):
    pytest.importorskip("tensorflow_serving")
    expected = evaluate_run(run)
    saved_model(load_run(run)[0], tmp_path / "served")
    words = ["evaluate", "--saved-model", tmp_path / "served"]
    words += ["--data", "image_folder", "--data-dir", data_dir]
    words += ["--output", tmp_path / "out"]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    assert "out/report.html" in result.stdout
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["image_size"] == expected["image_size"]
    assert found["dice"] == pytest.approx(expected["dice"], abs=1e-4)
    assert found["data_dir"] == "images"


COMMANDS = [
    ([], "Give a RUN, or `--saved-model PATH`"),
    (["run", "--saved-model", "path"], "and not both"),
    (["run", "--data", "glas"], "--data can be given with `--saved-model`"),
    (["run", "--epoch", "last"], "`--output` must be given for the last"),
    (
        ["--saved-model", "m", "--data", "glas", "--output", "o"]
        + ["--epoch", "last"],
        "`--epoch` can be given with a RUN only",
    ),
    (["--saved-model", "path", "--data", "glas"], "needs `--data` and `--out"),
    (["nowhere"], "is missing, so nowhere is not the folder of a run"),
]


@pytest.mark.parametrize("words, message", COMMANDS)
def test_says_what_to_evaluate(words, message):
    result = CliRunner().invoke(app, ["evaluate", *words])
    assert result.exit_code == 2
    assert message in result.stderr


BROKEN = [
    ("model.keras", None, "model.keras is missing"),
    ("model.keras", b"", "model.keras can't be loaded"),
    ("model.keras", b"PK\x03\x04 no zip", "model.keras can't be loaded"),
    ("recipe.json", None, "recipe.json is missing"),
    ("recipe.json", b"\xff\xfe", "recipe.json is not a run's recipe"),
    ("recipe.json", b"{}", "recipe.json is not a run's recipe"),
    ("recipe.json", b"[1]", "recipe.json is not a run's recipe"),
    ("recipe.json", b'{"recipe": 1, "samples": {}}', "recipe.json is not"),
    ("recipe.json", b'{"recipe": {}, "samples": {}}', "recipe.json is not"),
    ("history.csv", None, "history.csv is missing"),
    ("history.csv", b"epoch\n1\n", "history.csv is not a run's history"),
    ("history.csv", b"epoch,val_dice,seconds\n", "history.csv is not a"),
]


@pytest.mark.parametrize("name, content, message", BROKEN)
def test_names_the_broken_file_of_a_run(run, name, content, message):
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content)
    before = read_all(run)
    with pytest.raises(ValueError, match=message):
        evaluate_run(run)
    assert read_all(run) == before


def test_refuses_a_model_of_another_run(run):
    identity(2).save(run / "model.keras")
    with pytest.raises(ValueError, match=r"maps \(8, 8, 2\) to 2 classes and"):
        evaluate_run(run)


def test_runs_no_code_from_a_model_file(run):
    inputs = keras.Input((32, 32, 3))
    outputs = keras.layers.Lambda(lambda x: x[..., :1])(inputs)
    keras.Model(inputs, outputs).save(run / "model.keras")
    with pytest.raises(ValueError, match="(?s)model.keras can't.*Lambda"):
        evaluate_run(run)


def test_tells_nothing_about_whose_machine_it_is(run, data_dir):
    written = json.dumps(environment()) + json.dumps(evaluate_run(run))
    assert str(data_dir.parent) not in written
    assert "/" not in json.dumps(environment()["hardware"])
