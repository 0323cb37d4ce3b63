import csv
import json

import keras
import numpy as np
import pytest
from rich.console import Console

from dca_keras import training
from dca_keras.evaluation import evaluate_model
from dca_keras.prediction import load_run
from dca_keras.training import train
from tests.tiny_run import read_all, tiny_recipe, write_images, write_run

QUIET = Console(quiet=True)
FILES = {
    "history.csv",
    "metrics.json",
    "model.keras",
    "predictions.png",
    "recipe.json",
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_dir):
    """A run with DCA, its recipe, its scores and what the console showed."""
    output = tmp_path_factory.mktemp("runs") / "new" / "run"
    recipe = tiny_recipe(data_dir, dca=True, seed=5)
    with open(output.parents[1] / "console.txt", "w+") as file:
        scores = train(recipe, output, console=Console(file=file, width=200))
        file.seek(0)
        shown = file.read()
    return output, recipe, scores, shown


def read_history(folder):
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_leaves_a_whole_run(trained, data_dir):
    output, recipe, scores, _ = trained
    assert {path.name for path in output.iterdir()} == FILES
    record = json.loads((output / "recipe.json").read_text())
    assert record["recipe"]["filters"] == [4, 4, 8]
    assert record["recipe"]["data_dir"] == str(data_dir)
    assert record["samples"]["val"] == ["val-0", "val-1", "val-2"]
    assert record["versions"]["keras"] == keras.__version__
    assert {"tensorflow", "dca_keras", "python"} <= record["versions"].keys()
    assert json.loads((output / "metrics.json").read_text()) == scores
    assert scores["epochs"] == 2
    assert scores["seed"] == 5


def test_keeps_the_best_epoch(trained):
    output, recipe, scores, _ = trained
    history = read_history(output)
    assert list(history[0]) == [
        *("epoch", "loss", "dice", "iou"),
        *("val_loss", "val_dice", "val_iou", "seconds"),
    ]
    assert [row["epoch"] for row in history] == ["1", "2"]
    best = max(float(row["val_dice"]) for row in history)
    model, loaded, _ = load_run(output)
    assert loaded == recipe
    assert not model.compiled
    val = evaluate_model(
        model, recipe.read_dataset().val, image_size=(32, 32), batch_size=2
    )
    assert val["dice"] == pytest.approx(best, abs=2e-6)


def test_shows_a_line_an_epoch_away_from_a_terminal(trained):
    lines = trained[3].splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2/2 loss 0.")
    assert "val Dice 0." in lines[1]


def test_one_seed_gives_one_history(trained, tmp_path):
    output, recipe, *_ = trained
    train(recipe, tmp_path / "again", console=QUIET)
    first, second = map(read_history, (output, tmp_path / "again"))
    for row in first + second:
        del row["seconds"]
    assert first == second


def test_trains_in_mixed_precision(tmp_path, data_dir):
    recipe = tiny_recipe(data_dir, dtype="mixed_float16", epochs=1)
    train(recipe, tmp_path / "run", console=QUIET)
    model = load_run(tmp_path / "run")[0]
    assert model.get_layer("encoder_2_1_conv").compute_dtype == "float16"
    assert all(np.all(np.isfinite(w)) for w in model.get_weights())
    assert keras.config.dtype_policy().name == "float32"


class Interrupted(training.WriteHistory):
    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt


def test_ctrl_c_leaves_history_and_best_model(
    tmp_path, data_dir, monkeypatch, capsys
):
    monkeypatch.setattr(training, "WriteHistory", Interrupted)
    output = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe(data_dir), output)
    assert f"Stopped. {output} keeps the history" in capsys.readouterr().err
    assert len(read_history(output)) == 1
    load_run(output)


@pytest.mark.parametrize("left", sorted(FILES))
def test_overwrites_no_run(tmp_path, data_dir, left):
    output = tmp_path / "run"
    output.mkdir()
    (output / left).write_bytes(b"precious")
    with pytest.raises(ValueError, match=f"holds a run .{left}.*--overwrite"):
        train(tiny_recipe(data_dir), output, console=QUIET)
    assert read_all(tmp_path) == {
        (output / left).relative_to(tmp_path): b"precious"
    }


def test_the_output_is_no_file(tmp_path, data_dir):
    (tmp_path / "run").write_bytes(b"precious")
    with pytest.raises(ValueError, match="is a file. Name a folder"):
        train(tiny_recipe(data_dir), tmp_path / "run", overwrite=True)
    assert (tmp_path / "run").read_bytes() == b"precious"


BAD_RECIPES = [
    ({"image_size": 30}, "sides must be multiples of 4"),
    ({"filters": (4, 8)}, "`filters` must be at least 3"),
    ({"data_dir": "/no/such/folder"}, "/no/such/folder can't be read"),
    ({"channels": 2}, "`channels` must be 1 or 3"),
]


@pytest.mark.parametrize("values, message", BAD_RECIPES)
def test_keeps_the_old_run_until_all_is_checked(
    tmp_path, data_dir, values, message
):
    recipe = tiny_recipe(**({"data_dir": data_dir} | values))
    old = write_run(tmp_path / "old", tiny_recipe(data_dir))
    before = read_all(tmp_path)
    for output, overwrite in ((tmp_path / "new", False), (old, True)):
        with pytest.raises(ValueError, match=message):
            train(recipe, output, overwrite=overwrite, console=QUIET)
    assert read_all(tmp_path) == before


def test_finds_all_broken_images_before_training(tmp_path):
    data_dir = write_images(tmp_path / "images")
    for part in ("train", "test"):
        (data_dir / part / "images" / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match="(?s)2 of 9 .*train.*test"):
        train(tiny_recipe(data_dir), tmp_path / "run", console=QUIET)
    assert not (tmp_path / "run").exists()


def test_replaces_a_whole_run(tmp_path, data_dir):
    output = write_run(tmp_path / "run", tiny_recipe(data_dir))
    for name in ("metrics.json", "metrics_val.json", "notes.txt"):
        (output / name).write_text("old")
    recipe = tiny_recipe(data_dir, epochs=1)
    train(recipe, output, overwrite=True, console=QUIET)
    assert {path.name for path in output.iterdir()} == FILES | {"notes.txt"}
    assert json.loads((output / "metrics.json").read_text())["epochs"] == 1
