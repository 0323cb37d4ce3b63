"""Epochs that are chosen for the minutes that a recipe gives."""

import csv
import dataclasses
import json

import pytest
from rich.console import Console

import dca_keras
from dca_keras.data import Splits
from dca_keras.training import _epochs, _minutes, train
from tests.tiny_run import tiny_recipe, write_images

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


class Clock:
    """What `time.perf_counter` says, moved by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def timed(monkeypatch, minutes, epochs, rows=()):
    """A timer after epochs of (seconds to train, seconds to validate)."""
    clock = Clock()
    monkeypatch.setattr(_minutes.time, "perf_counter", clock)
    timer = _minutes.TimeEpochs(list(rows), minutes, None)
    model = type("Model", (), {"stop_training": False})()
    timer.set_model(model)
    stops = []
    for training, validation in epochs:
        timer.on_epoch_begin(0)
        clock.now += training
        timer.on_train_batch_end(0)
        clock.now += validation
        timer.on_epoch_end(0)
        stops.append(model.stop_training)
    return timer, stops


def splits(val, test):
    return Splits((), (None,) * val, (None,) * test)


def test_the_second_epoch_is_what_counts(monkeypatch):
    recipe = tiny_recipe(None, epochs=500, minutes=10)
    timer, stops = timed(monkeypatch, 10, [(40, 4), (18, 2)])
    assert stops == [False, True]
    # 600 s, without the 64 of these two, 24 that starting again takes, 20
    # for the report, and 8 for as many images as are validated in 2.
    chosen = _minutes.choose_epochs(recipe, timer, splits(5, 10), done=2)
    assert chosen == 2 + (600 - 64 - 24 - 20 - 2 * 2 * 2) // 20
    few = dataclasses.replace(recipe, epochs=9)
    assert _minutes.choose_epochs(few, timer, splits(5, 10), done=2) == 9


def test_an_epoch_that_takes_all_the_time_is_the_last(monkeypatch):
    recipe = tiny_recipe(None, epochs=500, minutes=1)
    timer, stops = timed(monkeypatch, 1, [(40, 4)])
    assert stops == [True]
    assert _minutes.choose_epochs(recipe, timer, splits(5, 5), done=1) == 1
    warm = dataclasses.replace(recipe, warmup_epochs=2)
    assert _minutes.choose_epochs(warm, timer, splits(5, 5), done=1) == 3


def test_what_a_run_took_before_counts(monkeypatch):
    rows = [{"seconds": 300.0}]
    timer, _ = timed(monkeypatch, 10, [(10, 0), (10, 0)], rows)
    assert timer.left() == 600 - 300 - 20 - _minutes.REPORT


class Interrupted(_epochs.StopEarly):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt


def read_history(folder):
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows


@pytest.mark.slow
def test_a_run_notes_its_epochs_and_goes_on_with_them(
    tmp_path, data_dir, monkeypatch
):
    # There is time for all that the recipe allows, so that runs are alike.
    recipe = tiny_recipe(data_dir, epochs=4, minutes=60, schedule="cosine")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(recipe, whole, console=QUIET)
    record = json.loads((whole / "recipe.json").read_text())
    assert record["recipe"]["epochs"] == record["timing"]["epochs"] == 4
    assert record["timing"]["most_epochs"] == 4
    assert "--epochs 4" in dca_keras.Run(whole).command
    assert "--minutes" not in dca_keras.Run(whole).command
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_epochs, "StopEarly", Interrupted)
        train(recipe, stopped, console=QUIET)
    assert len(read_history(stopped)) == 3
    with monkeypatch.context() as patch:
        # What was chosen holds; nothing is timed again.
        patch.setattr(_epochs, "choose_epochs", None)
        train(recipe, stopped, resume=True, console=QUIET)
    assert read_history(stopped) == read_history(whole)


@pytest.mark.slow
def test_the_schedule_ends_with_the_epochs_that_were_chosen(
    tmp_path, data_dir, monkeypatch
):
    recipe = tiny_recipe(data_dir, epochs=99, minutes=60, schedule="cosine")
    monkeypatch.setattr(_epochs, "choose_epochs", lambda *a, **k: 3)
    trained = []
    make = _epochs.make_optimizer
    monkeypatch.setattr(
        _epochs,
        "make_optimizer",
        lambda *words: trained.append(make(*words)) or trained[-1],
    )
    train(recipe, tmp_path / "run", console=QUIET)
    run = dca_keras.Run(tmp_path / "run")
    assert run.recipe.epochs == 3 and len(run.history) == 3
    assert len(trained) == 2
    assert int(trained[0].iterations) == 2 and int(trained[1].iterations) == 3
    assert float(trained[1].learning_rate) == pytest.approx(0, abs=1e-9)
    # The rate hardly fell before the number was known.
    assert float(trained[0].learning_rate) > 0.99 * recipe.learning_rate
    # The same recipe, and one of the chosen epochs, go on with that run.
    train(recipe, tmp_path / "run", resume=True, console=QUIET)
    train(run.recipe, tmp_path / "run", resume=True, console=QUIET)
    assert len(run.history) == 3
