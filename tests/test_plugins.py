"""From outside the package: one file with a model, a data set and a loss."""

import os
import pathlib
import subprocess
import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from dca_keras import Run
from dca_keras._plugins import load_plugins
from dca_keras.cli import app

ROOT = pathlib.Path(__file__).resolve().parents[1]
PLUGIN = """
import keras
import numpy as np
from keras import ops

from dca_keras import blocks
from dca_keras.data import Sample, Splits, register_dataset
from dca_keras.zoo import register_model, scaffold


@keras.saving.register_keras_serializable(package="mine")
def swish_of_mine(x):
    return x * ops.sigmoid(x)


@keras.saving.register_keras_serializable(package="mine")
class Scale(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return self.scale * x


@register_model
def my_net(input_shape=(224, 224, 3), num_classes=1, *, dca=True,
           activation="auto", name=None, dtype=None):
    scaffold.check_arguments(
        input_shape, num_classes, dca, stride=2, num_skips=2
    )
    with scaffold.dtype_scope(dtype):
        inputs = keras.Input(input_shape)
        fine = blocks.conv_norm_relu(inputs, 4, "fine")
        fine = keras.layers.Activation(swish_of_mine)(fine)
        coarse = blocks.max_pool(fine, "pool")
        coarse = blocks.conv_norm_relu(coarse, 8, "coarse")
        fine, coarse = scaffold.cross_attend([fine, Scale()(coarse)], dca)
        coarse = blocks.upsample(coarse, "up")
        x = blocks.concatenate([fine, coarse], "concat")
        outputs = scaffold.head(x, num_classes, activation)
    name = scaffold.model_name("my_net", name, dca)
    return keras.Model(inputs, outputs, name=name)


@register_dataset("my_data", class_names=("square",))
def read_my_data(*, seed=0):
    def sample(number):
        def load():
            rng = np.random.default_rng(number)
            mask = np.zeros((16, 16, 1), "int32")
            top, left = rng.integers(0, 8, 2)
            mask[top : top + 8, left : left + 8] = 1
            noise = 0.2 * rng.random((16, 16, 3))
            return (0.7 * mask + noise).astype("float32"), mask

        return Sample(f"s{number}", f"case{number}", load)

    samples = [sample(100 * seed + number) for number in range(10)]
    return Splits(tuple(samples[:5]), tuple(samples[5:8]), tuple(samples[8:]))


@keras.saving.register_keras_serializable(package="mine")
def my_loss(y_true, y_pred):
    error = ops.square(ops.cast(y_true, y_pred.dtype) - y_pred)
    return ops.mean(error, axis=(1, 2, 3))
"""


def run_command(folder, *words, code=0):
    """Run the command in a folder, as its entry point does."""
    result = subprocess.run(
        [sys.executable, "-P", "-m", "dca_keras.cli", *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == code, result.stderr
    return result.stdout, result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder with a plugin in it and a run that it was used in."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "mine.py").write_text(PLUGIN)
    shown, _ = run_command(
        folder,
        *("train", "--plugin", "mine", "--model", "my_net"),
        *("--data", "my_data", "--loss", "my_loss", "--image-size", 16),
        *("--strategy", "mirrored", "--devices", "CPU:0,CPU:1"),
        *("--patch-size", 4, "--epochs", 2, "--batch-size", 2),
        *("--optimizer", "adamw", "--output", "run"),
    )
    assert shown.startswith("test: Dice 0.")
    return folder


def test_a_users_file_trains_evaluates_and_predicts(folder):
    shown, _ = run_command(folder, "evaluate", "run", "--plugin", "mine")
    assert shown.startswith("test: Dice 0.")
    Image.new("RGB", (24, 20)).save(folder / "image.png")
    run_command(folder, "predict", "run", "image.png", "--plugin", "mine")
    assert (folder / "run" / "predictions" / "image_mask.png").exists()


def test_a_run_without_its_plugin_says_what_to_name(folder):
    run = Run(folder / "run")
    assert run.record["recipe"]["plugins"] == ["mine"]
    assert list(run.history["epoch"]) == [1, 2]
    message = "(?s)`model` must be one of.*name it, `--plugin mine`, or import"
    with pytest.raises(ValueError, match=message):
        run.recipe  # noqa: B018
    result = CliRunner().invoke(app, ["evaluate", str(run.folder)])
    assert result.exit_code == 2 and "`--plugin mine`" in result.stderr


@pytest.mark.parametrize(
    "name, message",
    [
        ("mine.py", "my_module for the file my_module.py. Received: 'mine.py'"),
        ("./mine", "`--plugin` must be names of modules"),
        ("no_such", "`--plugin` no_such must be a module in the folder"),
        ("broken", "The plugin broken can't be imported: No module named"),
    ],
)
def test_names_a_plugin_that_cannot_be_imported(
    tmp_path, monkeypatch, name, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken.py").write_text("import no_such_package")
    result = CliRunner().invoke(app, ["train", "--plugin", name])
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_installed_package_announces_its_plugin(tmp_path):
    (tmp_path / "announced.py").write_text("print('imported')")
    info = tmp_path / "announced-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: announced\nVersion: 1.0\n")
    points = "[dca_keras.plugins]\nannounced = announced\n"
    (info / "entry_points.txt").write_text(points)
    code = "from dca_keras._plugins import load_plugins; load_plugins()"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True
    )
    assert done.stdout.strip() == b"imported", done.stderr


def test_a_plugin_is_imported_once(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "once_only.py").write_text("print('imported')")
    load_plugins(["once_only"])
    load_plugins(["once_only"])
    assert capsys.readouterr().out == "imported\n"
