import csv
import dataclasses
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from rich.console import Console

import dca_keras
from dca_keras.evaluation import evaluate_model
from dca_keras.prediction import load_run
from dca_keras.training import _epochs as training
from dca_keras.training import train
from dca_keras.training._optimization import SCHEDULES
from tests.tiny_run import read_all, tiny_recipe, write_images, write_run

QUIET = Console(quiet=True)
FILES = {
    "checkpoint.h5",
    "checkpoint.previous.h5",
    "classes.json",
    "history.csv",
    "last.keras",
    "metrics.csv",
    "metrics.json",
    "model.keras",
    "predictions.png",
    "recipe.json",
    "report.html",
}
# Of one run, in the test that kills it; more find rarer moments.
KILLS = int(os.environ.get("DCA_KERAS_KILLS", "2"))


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


class Interrupted(training.StopEarly):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_ctrl_c_leaves_what_can_be_resumed(
    trained, tmp_path, monkeypatch, capsys
):
    output, recipe, *_ = trained
    stopped = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "StopEarly", Interrupted)
        train(recipe, stopped)
    assert "The same command with --resume goes on" in capsys.readouterr().err
    assert len(read_history(stopped)) == 1
    load_run(stopped)
    train(recipe, stopped, resume=True, console=QUIET)
    assert_same_run(stopped, output)
    before = (stopped / "checkpoint.h5").read_bytes()
    train(recipe, stopped, resume=True, console=QUIET)  # Nothing is left to do.
    assert (stopped / "checkpoint.h5").read_bytes() == before


def test_any_loss_and_optimizer_trains_and_is_resumed(
    tmp_path, data_dir, monkeypatch
):
    recipe = tiny_recipe(
        data_dir,
        epochs=3,
        loss={"class_name": "Tversky", "config": {"alpha": 0.3, "beta": 0.7}},
        optimizer={"class_name": "SGD", "config": {"momentum": 0.9}},
        weight_decay=1e-3,
        clip_norm=0.5,
        schedule="cosine",
        warmup_epochs=1,
        monitor="val_loss",
    )
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "StopEarly", Interrupted)
        train(recipe, stopped, console=QUIET)
    train(recipe, stopped, resume=True, console=QUIET)
    train(recipe, whole, console=QUIET)
    assert_same_run(stopped, whole)
    run = dca_keras.Run(whole)
    assert run.recipe == recipe
    assert run.best_epoch["val_loss"] == run.history["val_loss"].min()
    kept, last = run.load_model(), run.load_model("last")
    same = all(
        np.array_equal(*pair)
        for pair in zip(kept.get_weights(), last.get_weights(), strict=True)
    )
    assert same == (run.best_epoch["epoch"] == 3)


def assert_same_run(first, second):
    histories = [read_history(folder) for folder in (first, second)]
    for row in histories[0] + histories[1]:
        del row["seconds"]
    assert histories[0] == histories[1]
    for name in ("model.keras", "last.keras"):
        weights = [
            keras.saving.load_model(folder / name, compile=False).get_weights()
            for folder in (first, second)
        ]
        for one, other in zip(*weights, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on_as_if_it_never_stopped(
    tmp_path, data_dir
):
    output, whole = tmp_path / "killed", tmp_path / "whole"
    recipe = tiny_recipe(data_dir, dca=True, epochs=4 * KILLS + 4)
    recipe = dataclasses.replace(recipe, schedule="cosine")
    words = shlex.split(recipe.command())[1:]
    words[words.index("--data-dir") + 1] = data_dir
    words = [*words, "--output", output, "--resume"]
    command = [sys.executable, "-m", "dca_keras.cli", *map(str, words)]
    moments = random.Random(os.environ.get("DCA_KERAS_SEED", 0))

    def finished():
        path = output / "history.csv"
        return len(read_history(output)) if path.exists() else 0

    for _ in range(KILLS):
        before = finished()
        with open(tmp_path / "log.txt", "w") as log:
            process = subprocess.Popen(command, stderr=log, stdout=log)
        while finished() == before:
            assert process.poll() is None, (tmp_path / "log.txt").read_text()
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.6))
        process.kill()
        process.wait()
    killed_at = finished()
    subprocess.run(command, check=True, capture_output=True)
    train(recipe, whole, console=QUIET)
    assert killed_at < recipe.epochs
    assert_same_run(output, whole)


def test_stops_early(tmp_path, data_dir):
    # At such a rate the scores can't rise.
    recipe = tiny_recipe(data_dir, learning_rate=1e-30, epochs=9, patience=2)
    train(recipe, tmp_path / "run", console=QUIET)
    assert len(read_history(tmp_path / "run")) == 3
    train(recipe, tmp_path / "run", resume=True, console=QUIET)
    assert len(read_history(tmp_path / "run")) == 3


@pytest.mark.parametrize("name, last", [("cosine", 0.0), ("polynomial", 0.0)])
def test_schedules_fall_to_zero(name, last):
    rate = SCHEDULES[name](0.5, 10)
    rates = [float(rate(step)) for step in range(11)]
    assert rates[0] == 0.5
    assert sorted(rates, reverse=True) == rates
    assert rates[-1] == pytest.approx(last, abs=1e-7)


def test_writes_for_tensorboard(tmp_path, data_dir):
    pytest.importorskip("tensorboardX")
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    recipe = tiny_recipe(data_dir, epochs=2)
    train(recipe, tmp_path / "run", tensorboard=True, console=QUIET)
    events = reader.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"dice/training", "dice/validation"} <= set(tags["scalars"])
    assert tags["images"] == ["validation"]
    rows = read_history(tmp_path / "run")
    for event, row in zip(events.Scalars("dice/validation"), rows, strict=True):
        assert event.value == pytest.approx(float(row["val_dice"]), abs=1e-6)
    assert len(events.Images("validation")) == 2


OTHER_RUNS = [
    ({"seed": 6}, "`seed` was 5 and is 6"),
    ({"learning_rate": 1e-5}, "`learning_rate` was 0.001 and is 1e-05"),
    ({"dca": False}, "`dca` was True and is False"),
]


@pytest.mark.parametrize("changed, message", OTHER_RUNS)
def test_resumes_no_other_run(trained, changed, message):
    output, recipe, *_ = trained
    before = read_all(output)
    other = dataclasses.replace(recipe, **changed)
    with pytest.raises(ValueError, match=message):
        train(other, output, resume=True, console=QUIET)
    assert read_all(output) == before


def test_resumes_with_no_other_images(trained, tmp_path):
    output, recipe, *_ = trained
    moved = write_images(tmp_path / "images", [(40, 48)] * 4)
    before = read_all(output)
    other = dataclasses.replace(recipe, data_dir=str(moved))
    with pytest.raises(ValueError, match="The data set is not the one"):
        train(other, output, resume=True, console=QUIET)
    assert read_all(output) == before


@pytest.mark.slow
def test_goes_on_from_the_checkpoint_before_a_damaged_one(trained, tmp_path):
    output, recipe, *_ = trained
    copy = tmp_path / "run"
    shutil.copytree(output, copy)
    path = copy / "checkpoint.h5"
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with open(tmp_path / "console.txt", "w+") as file:
        train(recipe, copy, resume=True, console=Console(file=file))
        file.seek(0)
        shown = file.read()
    assert "checkpoint.h5 is damaged: its checksum differs. Resumed" in shown
    assert "before it, after epoch 1." in shown
    assert shown.count("epoch 2/2") == 1 and "epoch 1/2" not in shown
    assert_same_run(copy, output)


def test_refuses_damaged_checkpoints(trained, tmp_path):
    output, recipe, *_ = trained
    copy = tmp_path / "run"
    shutil.copytree(output, copy)
    for name in ("checkpoint.h5", "checkpoint.previous.h5"):
        path = copy / name
        path.write_bytes(path.read_bytes()[:1000])
    before = read_all(copy)
    message = r"checkpoint\.h5 is damaged: .* start again with `--overwrite`"
    with pytest.raises(ValueError, match=message):
        train(recipe, copy, resume=True, console=QUIET)
    assert read_all(copy) == before


@pytest.mark.parametrize(
    "attentions, variant",
    [
        ({}, "dca"),
        ({"spatial_attention": False}, "dca_channel"),
        ({"channel_attention": False}, "dca_spatial"),
        (
            {"channel_attention": False, "spatial_attention": False},
            "dca_control",
        ),
    ],
)
def test_a_recipe_chooses_what_is_left_of_dca(data_dir, attentions, variant):
    recipe = tiny_recipe(data_dir, dca=True, **attentions)
    assert recipe.variant == variant
    layer = recipe.build_model().get_layer("dca")
    for kind in ("channel_attention", "spatial_attention"):
        assert getattr(layer, kind) == attentions.get(kind, True)


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
    ({"loss": "dicee"}, "`loss` must be one that Keras or a plugin knows"),
    ({"optimizer": "adamm"}, "`optimizer` must be one that Keras or a plugin"),
    ({"image_size": 30}, "sides must be multiples of 4"),
    ({"filters": (4, 8)}, "`filters` must be at least 3"),
    ({"data_dir": "/no/such/folder"}, "/no/such/folder can't be read"),
    ({"channels": 2}, "it has 3 channels, not 2"),
    (
        {"strategy": "mirrored", "dtype": "mixed_float16"},
        "mixed_float16 needs `strategy` single",
    ),
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
    recipe = tiny_recipe(data_dir, epochs=2)
    train(recipe, output, overwrite=True, console=QUIET)
    assert {path.name for path in output.iterdir()} == FILES | {"notes.txt"}
    assert json.loads((output / "metrics.json").read_text())["epochs"] == 2


def test_a_run_starts_from_weights(trained, data_dir, tmp_path):
    """A plain model starts from the one with DCA that was trained."""
    source, *_ = trained
    recipe = tiny_recipe(
        data_dir, weights=str(source), epochs=1, learning_rate=1e-12
    )
    with open(tmp_path / "console.txt", "w+") as file:
        train(recipe, tmp_path / "run", console=Console(file=file, width=200))
        file.seek(0)
        assert "not used: dca" in file.read()
    old = dca_keras.Run(source).load_model()
    new = dca_keras.Run(tmp_path / "run").load_model()
    kernel = "encoder_1_1_conv"
    np.testing.assert_allclose(
        new.get_layer(kernel).get_weights()[0],
        old.get_layer(kernel).get_weights()[0],
        atol=1e-6,
    )
    metrics = (tmp_path / "run" / "metrics.json").read_text()
    assert str(source.parent) not in metrics
