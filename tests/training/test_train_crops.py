"""A whole training on crops of volumes, stopped and resumed."""

import csv
import itertools
import json

import keras
import nibabel
import numpy as np
import pytest
from rich.console import Console

from dca_keras.recipe import make_recipe
from dca_keras.training import _epochs, train
from dca_keras.training import _train as training

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A task in the Decathlon's layout, of volumes of many sizes."""
    folder = tmp_path_factory.mktemp("data") / "Task99_Blocks"
    rng = np.random.default_rng(0)
    for number in range(8):
        sides = 7 + rng.integers(0, 6, 3)
        mask = np.zeros(sides, "uint8")
        mask[2:5, 2:6, 1:4], mask[4:6, 3:6, 4:6] = 1, 2
        image = 100 * mask + rng.integers(0, 90, sides)
        for kind, values in (("imagesTr", image), ("labelsTr", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nibabel.save(
                nibabel.Nifti1Image(values.astype("int16"), np.eye(4)),
                folder / kind / f"case_{number}.nii.gz",
            )
    about = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "large", "2": "small"},
        "training": [
            {
                "image": f"./imagesTr/case_{number}.nii.gz",
                "label": f"./labelsTr/case_{number}.nii.gz",
            }
            for number in range(8)
        ],
        "numTraining": 8,
        "tensorImageSize": "3D",
    }
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


class Interrupted(_epochs.StopEarly):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def read_run(folder):
    """The scores of every epoch, and the weights of best and last model."""
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    weights = [
        keras.saving.load_model(folder / name, compile=False).get_weights()
        for name in ("model.keras", "last.keras")
    ]
    return rows, list(itertools.chain(*weights))


@pytest.mark.slow
def test_a_run_on_volumes_goes_on_as_if_it_never_stopped(
    tmp_path, data_dir, monkeypatch
):
    monkeypatch.setattr(training, "evaluate_run", lambda *args, **words: {})
    recipe = make_recipe(
        data="nnunet",
        data_dir=data_dir,
        image_size=(8, 8, 8),
        sampling="crop",
        channels=1,
        num_classes=3,
        filters=(4, 4, 8),
        batch_size=2,
        epochs=3,
        augment=True,
        augment_intensity=True,
        dca=True,
        patch_size=2,
        schedule="cosine",
    )
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_epochs, "StopEarly", Interrupted)
        train(recipe, stopped, console=QUIET)
    train(recipe, stopped, resume=True, console=QUIET)
    train(recipe, whole, console=QUIET)
    (rows, weights), (expected_rows, expected) = map(read_run, (stopped, whole))
    assert len(rows) == 3 and rows == expected_rows
    assert {"val_loss", "val_dice", "val_iou"} <= rows[0].keys()
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)
