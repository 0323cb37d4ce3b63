"""The weights in the package: small, of half precision, as good as they say."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from dca_keras import Run
from dca_keras.cli._recipes import choose_recipe
from dca_keras.evaluation import OriginalGrid, evaluate_model
from dca_keras.prediction import predict_files
from dca_keras.weights import load_weights
from dca_keras.zoo import create_model, list_weights, unet
from tests.tiny_run import read_all

NAMES = list_weights()
ROOT = pathlib.Path(__file__).parents[1]
LARGEST = 5_000_000  # bytes, of all weights together
each = pytest.mark.parametrize("name", NAMES)
slow = [pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:]]


def images_for(model):
    shape = (1, *model.input_shape[1:])
    return np.random.default_rng(0).random(shape, "float32")


def predict(model):
    return np.asarray(model.predict_on_batch(images_for(model)))


# === The files ===


def test_all_are_there_and_small():
    assert NAMES == ("hippocampus", "nuclei", "vessels")
    paths = [Run.open(name).path("shared_model") for name in NAMES]
    assert sum(path.stat().st_size for path in paths) <= LARGEST


@each
def test_half_precision_with_card_and_licence(name):
    folder = Run.open(name).folder
    kinds = set()
    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(lambda _, item: kinds.add(getattr(item, "dtype", None)))
    assert kinds == {None, np.dtype("float16")}  # None is a group's
    assert "creativecommons.org" in (folder / "LICENSE").read_text()
    for path, content in read_all(folder).items():
        for word in (b"/root", b"/home", b"/tmp", b"/work"):
            assert word not in content, (path, word)


@each
def test_the_card_says_what_was_measured(name):
    run = Run.open(name)
    card, scores = (run.folder / "README.md").read_text(), run.scores()
    dice = scores["over_cases"]["foreground"]["dice"]
    (row,) = re.findall(r"^.* shipped \|.*$", card, re.MULTILINE)
    low, high = dice["interval"]
    assert f"| {dice['mean']:.4f} | {low:.4f} to {high:.4f} |" in row
    assert ("DCA" in row) == run.recipe.dca
    assert scores["images"] == len(run.samples["test"])
    assert scores["command"] in card


@each
def test_the_guide_says_so_too(name):
    run, guide = Run.open(name), ROOT / "docs/guides/fine_tune.md"
    dice = run.scores()["over_cases"]["foreground"]["dice"]
    low, high = dice["interval"]
    figures = f"| {dice['mean']:.3f} | {low:.3f} to {high:.3f} |"
    (row,) = re.findall(rf"^\| `{name}` .*$", guide.read_text(), re.MULTILINE)
    assert f"{figures} {'yes' if run.recipe.dca else 'no'} |" in row


# === The models ===


@each
def test_a_name_is_all_that_a_builder_needs(name):
    run = Run.open(name)
    model = create_model(run.recipe.model, weights=name)
    np.testing.assert_array_equal(predict(model), predict(run.load_model()))


def test_what_is_given_comes_first():
    model = unet((64, 32, 3), weights="nuclei", num_classes=4, dca=True)
    assert model.input_shape == (None, 64, 32, 3)
    assert model.output_shape == (None, 64, 32, 4)
    with pytest.raises(ValueError, match="does not fit"):
        unet(weights="nuclei", filters=(4, 8, 16))


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("nuclei").mkdir()
    with pytest.raises(ValueError, match="nuclei holds no weights"):
        unet(weights="nuclei")


def test_a_recipe_takes_the_architecture_of_weights(tmp_path):
    recipe, _ = choose_recipe(data="synthetic", weights="nuclei")
    shipped = Run.open("nuclei").recipe
    assert recipe.filters == shipped.filters and recipe.dca == shipped.dca
    load_weights(recipe.build_model(), recipe.weights)
    for given in ({"filters": (4, 8, 16)}, {"model": "vnet"}):
        recipe, _ = choose_recipe(data="synthetic", weights="nuclei", **given)
        assert recipe.filters != shipped.filters
    shutil.copytree(Run.open("nuclei").folder, tmp_path / "nuclei")
    (tmp_path / "nuclei/recipe.json").write_text('{"recipe": ')
    with pytest.raises(ValueError, match="is not a run's recipe"):
        choose_recipe(data="synthetic", weights=str(tmp_path / "nuclei"))


BACKENDS = """
import sys
import numpy as np
from dca_keras.zoo import create_model

folder, *names = sys.argv[1:]
for name in names:
    model = create_model("unet", weights=name)
    images = np.load(f"{folder}/{name}_images.npy")
    np.save(f"{folder}/{name}.npy", np.asarray(model.predict_on_batch(images)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_same_on_every_backend(backend, tmp_path):
    models = {name: Run.open(name).load_model() for name in NAMES}
    for name, model in models.items():
        np.save(tmp_path / f"{name}_images.npy", images_for(model))
    subprocess.run(
        [sys.executable, "-c", BACKENDS, tmp_path, *NAMES],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )
    for name, model in models.items():
        found = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(found, predict(model), atol=1e-5)


# === The scores ===


@pytest.mark.parametrize("name", [NAMES[0], *slow])
def test_held_out_images_score_what_was_measured(name, data_folder):
    run = Run.open(name)
    splits = run.read_splits(data_folder / run.recipe.data_dir)
    samples = {sample.name: sample for sample in splits.test}
    assert samples.keys() == set(run.samples["test"])
    measured = run.scores()["per_image"][:2]
    scores = evaluate_model(
        run.load_model(),
        [samples[one["name"]] for one in measured],
        image_size=run.recipe.image_size,
        batch_size=run.recipe.batch_size,
        grid=OriginalGrid(run.preprocessing, True),
    )
    for own, one in zip(scores["per_image"], measured, strict=True):
        assert own["dice"] == pytest.approx(one["dice"], abs=1e-4)


def test_predicting_takes_no_training(data_folder, tmp_path):
    run = Run.open("nuclei")
    one = run.scores()["per_image"][0]
    image = data_folder / "dsb2018/images" / f"{one['name']}.png"
    found = predict_files("nuclei", [image], tmp_path / "found")
    assert not found.broken and found.written
    mask = keras.utils.load_img(found.written[0], color_mode="grayscale")
    truth = keras.utils.load_img(
        data_folder / "dsb2018/masks" / image.name, color_mode="grayscale"
    )
    mask, truth = np.asarray(mask) > 0, np.asarray(truth) > 0
    dice = 2 * np.sum(mask & truth) / (mask.sum() + truth.sum())
    assert dice == pytest.approx(one["per_class"]["1"]["dice"], abs=1e-4)
