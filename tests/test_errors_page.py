"""The page on errors shows the messages as they are."""

import pathlib
import re
import shutil

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import dca_keras
from dca_keras._extras import import_extra
from dca_keras.cli import app
from dca_keras.data import check_batch
from dca_keras.prediction import predict
from dca_keras.weights import load_weights
from dca_keras.zoo import unet
from tests.tiny_run import tiny_recipe, write_images, write_run

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "errors.md"
MESSAGES = re.findall(r"```text\n(.*?)\n```", PAGE.read_text(), re.S)


def pattern(message):
    """What a message of the page matches; … stands for anything."""
    words = re.escape(" ".join(message.split()))
    return words.replace("…", ".+").replace("\\ ", r"\s+")


# === What provokes them ===


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images, and a run."""
    root = tmp_path_factory.mktemp("errors")
    write_images(root / "images")
    write_run(root / "run", tiny_recipe(root / "images"))
    return root


def command(text):
    """Return a function that gives the error of a command."""

    def provoke(folder):
        words = text.format(folder=folder).split()
        result = CliRunner().invoke(app, words)
        assert result.exit_code in (1, 2), result.output
        return result.stderr

    return provoke


def call(function, *arguments, **options):
    """Return a function that gives the error of a call."""

    def provoke(folder):
        with pytest.raises((ValueError, ImportError, TypeError)) as caught:
            function(*arguments, **options)
        return str(caught.value)

    return provoke


def no_masks(folder):
    root = folder / "no_masks"
    shutil.copytree(folder / "images", root)
    (root / "train" / "masks" / "0.png").unlink()
    return command("data {folder}/no_masks")(folder)


def only_train(folder):
    root = folder / "only_train"
    shutil.copytree(folder / "images", root)
    shutil.rmtree(root / "test")
    return command("data {folder}/only_train")(folder)


def three_values(folder):
    root = folder / "three"
    write_images(root, classes=3)
    return command("train {folder}/three --num-classes 1 --output {folder}/x")(
        folder
    )


def text_as_image(folder):
    (folder / "notes.png").write_text("no image")
    return command("predict {folder}/run {folder}/notes.png")(folder)


def no_model(folder):
    shutil.copytree(folder / "run", folder / "moved")
    (folder / "moved" / "model.keras").unlink()
    return command("predict {folder}/moved {folder}/images")(folder)


def not_imported(folder):
    path = folder / "foreign.keras"

    @keras.saving.register_keras_serializable("elsewhere")
    class Foreign(keras.layers.Layer):
        def call(self, x):
            return x

    inputs = keras.Input((8,))
    keras.Model(inputs, Foreign()(inputs)).save(path)
    del keras.saving.get_custom_objects()["elsewhere>Foreign"]
    return call(keras.saving.load_model, path)(folder)


def plain():
    x = inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, keras.layers.Conv2D(1, 1)(x))


def other_widths(folder):
    model = unet((32, 32, 3), filters=(8, 8, 8), dca=False)
    return call(load_weights, model, folder / "run")(folder)


IMAGES = np.zeros((2, 16, 16, 3), "float32")
MASKS = np.zeros((2, 16, 16, 1), "uint8")

PROVOKERS = {
    "extra": call(
        import_extra, "absent", extra="volumes", purpose="Reading NIfTI"
    ),
    "folder": command("train {folder}/typo"),
    "pair": no_masks,
    "splits": only_train,
    "values": three_values,
    "size": command("train --image-size 100"),
    "model": command("train --model u_net"),
    "exists": command(
        "train {folder}/images --epochs 1 --image-size 32 --output {folder}/run"
    ),
    "devices": command("train --strategy mirrored --devices GPU:7"),
    "TF_CONFIG": command("train --strategy multi_worker"),
    "scale": call(check_batch, IMAGES + 255, MASKS, num_classes=1),
    "mask": call(check_batch, IMAGES, MASKS + 255, num_classes=3),
    "run": no_model,
    "files": command("predict {folder}/run"),
    "image": text_as_image,
    "predict": call(predict, plain(), IMAGES[0] + 255),
    "output": command("predict {folder}/run {folder}/run {folder}/images"),
    "overlap": command("predict {folder}/run {folder}/images --overlap 8"),
    "skips": call(dca_keras.insert_dca, plain()),
    "heads": call(unet, (32, 32, 3), filters=(6, 6, 6)),
    "channels_first": call(unet, (3, 64, 64)),
    "weights": other_widths,
    "class": not_imported,
}


@pytest.mark.slow
def test_the_page_has_these_messages_and_no_others(folder):
    found = set()
    for provoke in PROVOKERS.values():
        message = provoke(folder).rpartition("Error: ")[2].strip()
        shown = [x for x in MESSAGES if re.fullmatch(pattern(x), message, re.S)]
        assert len(shown) == 1, message
        found.update(shown)
    assert found == set(MESSAGES)
