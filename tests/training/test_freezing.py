"""The encoder is left as it is, and then trained by an optimizer of its own."""

import dataclasses

import keras
import numpy as np
import pytest
from rich.console import Console

from dca_keras import Run
from dca_keras.surgery import find_encoder
from dca_keras.training import _epochs, train
from dca_keras.training._optimization import make_optimizer
from tests.tiny_run import tiny_recipe, write_images
from tests.training.test_train import assert_same_run

QUIET = Console(quiet=True)
FREEZE = {"freeze": "encoder", "freeze_epochs": 2}


class Interrupted(_epochs.StopEarly):
    epoch = 2

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def stop(recipe, folder, epoch, monkeypatch):
    """Train a recipe until an epoch begins."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_epochs, "StopEarly", Interrupted)
        patch.setattr(Interrupted, "epoch", epoch)
        train(recipe, folder, console=QUIET)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = write_images(tmp_path_factory.mktemp("data") / "images")
    words = {"epochs": 3, "schedule": "cosine", "warmup_epochs": 1}
    return tiny_recipe(folder, dca=True, **words, **FREEZE)


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(recipe, folder, console=QUIET)
    return folder


def changed(model, other):
    """The names of the layers whose weights differ between two models."""
    return {
        layer.name
        for layer in model.layers
        if layer.weights
        and any(
            not np.array_equal(own, theirs)
            for own, theirs in zip(
                layer.get_weights(),
                other.get_layer(layer.name).get_weights(),
                strict=True,
            )
        )
    }


@pytest.mark.slow
def test_frozen_and_then_trained(recipe, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    stop(recipe, folder, 2, monkeypatch)
    keras.utils.set_random_seed(recipe.seed)
    initial, kept = recipe.build_model(), Run(folder).load_model()
    encoder = {layer.name for layer in find_encoder(initial)}
    others = {layer.name for layer in initial.layers if layer.weights} - encoder
    # Batch norms' running averages are among the weights.
    assert changed(initial, kept) == others
    assert len(kept.trainable_weights) == len(initial.trainable_weights)
    train(recipe, folder, resume=True, console=QUIET)
    last = Run(folder).load_model("last")
    assert changed(initial, last) == others | encoder


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2])
def test_stopped_and_resumed(recipe, trained, epoch, tmp_path, monkeypatch):
    stop(recipe, tmp_path / "run", epoch, monkeypatch)
    train(recipe, tmp_path / "run", resume=True, console=QUIET)
    assert_same_run(tmp_path / "run", trained)


@pytest.mark.slow
def test_frozen_for_good(recipe, tmp_path):
    recipe = dataclasses.replace(
        recipe, freeze_epochs=None, epochs=1, warmup_epochs=0
    )
    train(recipe, tmp_path / "run", console=QUIET)
    keras.utils.set_random_seed(recipe.seed)
    initial, kept = recipe.build_model(), Run(tmp_path / "run").load_model()
    encoder = {layer.name for layer in find_encoder(initial)}
    assert not changed(initial, kept) & encoder
    assert not kept.get_layer("encoder_1_1_conv").trainable


def test_the_schedule_goes_on(recipe):
    whole = make_optimizer(recipe, steps_per_epoch=4)
    later = make_optimizer(recipe, steps_per_epoch=4, first_epoch=2)
    assert int(later.iterations) == 0
    rates = []
    for step in range(4):
        later.iterations.assign(step)
        whole.iterations.assign(8 + step)
        rates.append(float(later.learning_rate))
        assert rates[-1] == pytest.approx(float(whole.learning_rate))
    assert rates == sorted(rates, reverse=True) and rates[0] > 2 * rates[-1]


def test_freezing_for_a_while_says_what(recipe):
    with pytest.raises(ValueError, match="`freeze_epochs` needs `freeze`"):
        tiny_recipe(recipe.data_dir, freeze_epochs=2)
    with pytest.raises(ValueError, match="`freeze` must be one of 'encoder'"):
        tiny_recipe(recipe.data_dir, freeze="decoder")
