import functools
import json
import shutil

import keras
import numpy as np
import pytest

from dca_keras.data import Sample
from dca_keras.evaluation import environment, evaluate_model, evaluate_run
from dca_keras.metrics import DiceScore, IoU
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
    assert result["part"] == "test"
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
    evaluate_run(run, "val")
    assert json.loads((run / "metrics.json").read_text()) == result
    other = json.loads((run / "metrics_val.json").read_text())
    assert other["part"] == "val"


def test_says_when_the_test_part_was_not_held_out(tmp_path, data_dir):
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


def test_says_what_is_wrong_with_a_part(run):
    with pytest.raises(ValueError, match="`part` must be one of .*'all'"):
        evaluate_run(run, "all")


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
    ("history.csv", None, "history.csv is not a run's history"),
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
