"""A shared run loads in plain Keras, and tells nothing of somebody's disk."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import yaml

from dca_keras import Run
from dca_keras._files import write_json
from dca_keras.prediction import predict_files
from dca_keras.sharing import share
from dca_keras.weights import list_weights, load_weights
from tests.sharing.hub import Hub
from tests.tiny_run import read_all, tiny_recipe, write_images, write_run

SCORES = {
    "split": "test",
    "dice": 0.5,
    "iou": 0.25,
    "intervals": {"dice": [0.4, 0.6], "iou": None},
    "images": 3,
    "cases": 3,
    "class_names": {"1": "cell"},
    "per_image": [{"name": "patient 7"}],
    "per_case": [{"name": "patient 7"}],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret_place")
    images = write_images(folder / "patients")
    run = write_run(folder / "run", tiny_recipe(images, dca=True))
    write_json(run / "metrics.json", SCORES)
    (run / "predictions.png").write_bytes(b"a picture")
    return Run(run)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The client reads its address when it is imported: see `in_process`."""
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_TOKEN", "hf_none")
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        yield hub


def in_process(code, *args):
    """Run Python with what the environment says now; return its output."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_holds_all_that_others_need(run, tmp_path):
    folder = share(run, tmp_path / "shared", license="cc0-1.0")
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "metadata.json",
        "metrics.json",
        "model.weights.h5",
        "predictions.png",
        "recipe.json",
    }
    model = keras.saving.load_model(folder)
    images = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    np.testing.assert_array_equal(
        model.predict_on_batch(images),
        run.load_model().predict_on_batch(images),
    )


def test_nothing_tells_whose_data_it_was(run, tmp_path):
    folder = share(run, tmp_path / "shared")
    for name, content in read_all(folder).items():
        for word in (b"secret", b"patient", b"/tmp", str(tmp_path).encode()):
            assert word not in content, (name, word)


def test_the_card_says_what_the_scores_say(run, tmp_path):
    folder = share(run, tmp_path / "a", license="cc0-1.0", data_name='X: "Y"')
    card = (folder / "README.md").read_text()
    _, front, text = card.split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["library_name"] == "keras"
    assert front["license"] == "cc0-1.0"
    assert front["datasets"] == ['X: "Y"']
    (result,) = front["model-index"][0]["results"]
    assert [(m["type"], m["value"]) for m in result["metrics"]] == [
        ("dice", 0.5),
        ("iou", 0.25),
    ]
    assert "| Dice | 0.5000 | 0.4000 to 0.6000 |" in text
    assert "| IoU | 0.2500 | not measured |" in text
    assert "dca-keras train --model unet" in text


def test_a_run_without_scores_says_so(run, tmp_path):
    images = write_images(tmp_path / "images")
    bare = write_run(tmp_path / "run", tiny_recipe(images))
    folder = share(bare, tmp_path / "shared", pictures=False)
    card = (folder / "README.md").read_text()
    assert "Not measured." in card and "model-index" not in card
    assert not (folder / "metrics.json").exists()


def test_nothing_is_overwritten(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(ValueError, match="exists already"):
        share(run, tmp_path / "mine")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(ValueError, match="USER/NAME"):
        share(run, "hf://nobody")


def test_weights_start_another_run_from_a_shared_folder(run, tmp_path):
    folder = share(run, tmp_path / "shared")
    model = run.recipe.build_model()
    loaded = load_weights(model, folder)
    assert loaded.new == () and loaded.path == folder / "model.weights.h5"
    for own, other in zip(
        model.get_weights(), run.load_model().get_weights(), strict=True
    ):
        np.testing.assert_array_equal(own, other)


WRITE_AND_READ = """
import sys
import keras, numpy as np
import dca_keras
from dca_keras.prediction import predict_files
from dca_keras.sharing import share
from dca_keras.weights import list_weights, load_weights

run = dca_keras.Run(sys.argv[1])
print(share(run, "hf://nobody/cells", license="mit"))
model = keras.saving.load_model("hf://nobody/cells")
other = run.recipe.build_model()
print(len(load_weights(other, "hf://nobody/cells").new))
image = np.full((1, 32, 32, 3), 0.5, "float32")
for loaded in (model, other):
    difference = loaded.predict_on_batch(image) - run.load_model(
    ).predict_on_batch(image)
    print(np.abs(np.asarray(difference)).max() < 1e-6)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_repository_goes_there_and_back(run, hub, backend, monkeypatch):
    """The Hub's own client talks to a server of its interface."""
    monkeypatch.setenv("KERAS_BACKEND", backend)
    said = in_process(WRITE_AND_READ, run.folder).split()
    assert said == ["hf://nobody/cells", "0", "True", "True"]
    assert hub.repository == "nobody/cells"
    assert hub.card["license"] == "mit"
    assert json.loads(hub.files["recipe.json"])["recipe"]["model"] == "unet"


BROKEN = """
import sys
from dca_keras.weights import load_weights
from dca_keras.zoo import unet

try:
    load_weights(unet((32, 32, 3), filters=(4, 4, 8)), "hf://nobody/cells")
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_an_answer_that_is_no_model_is_an_error(hub):
    for files, wrong, words in (
        ({}, None, "can't be read"),
        ({"model.weights.h5": b"<html>"}, None, "can't be read as Keras's"),
        ({"model.weights.h5": b"x"}, 403, "can't be read"),
    ):
        hub.files, hub.wrong = files, wrong
        assert words in in_process(BROKEN)


def test_a_shared_folder_stands_where_a_run_does(run, tmp_path):
    folder = share(run, tmp_path / "shared")
    image = next((run.folder.parent / "patients/test/images").iterdir())
    shared = predict_files(folder, [image], tmp_path / "found")
    own = predict_files(run.folder, [image], tmp_path / "own")
    assert not shared.broken and not own.broken
    assert shared.written[0].read_bytes() == own.written[0].read_bytes()
    with pytest.raises(ValueError, match="`output` must be given"):
        predict_files(folder, [image])


def test_weights_of_another_model_are_refused(run, tmp_path):
    folder = share(run, tmp_path / "shared")
    other = tiny_recipe("", dca=False).build_model()
    other.save_weights(folder / "model.weights.h5", overwrite=True)
    with pytest.raises(ValueError, match="is not of the model"):
        Run.open(folder).load_model()


def test_shipped_names_are_folders_of_the_package():
    for name in list_weights():
        shared = Run.open(name)
        assert shared.recipe.model and shared.path("shared_model").is_file()
    with pytest.raises(ValueError, match="nowhere"):
        Run.open("nowhere").load_model()
