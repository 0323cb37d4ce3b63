"""One command for whatever lies in a folder."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from dca_keras import Run, training
from dca_keras.cli import app
from tests.data.archives import save_nifti
from tests.tiny_run import write_images

TINY = ["--filters", "4,4,8", "--no-dca", "--epochs", "1"]


def run_cli(*words, code=0):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def write_task(folder, cases=8):
    """A task of the Decathlon with thick slices and two structures."""
    rng = np.random.default_rng(0)
    for number in range(cases):
        labels = np.zeros((20 + number % 3, 16, 6), "uint8")
        labels[4:10, 4:12, 1:5], labels[10:16, 4:12, 1:5] = 1, 2
        scan = 200 * labels + rng.integers(0, 50, labels.shape)
        for kind, values in (
            ("images", scan.astype("int16")),
            ("labels", labels),
        ):
            path = folder / f"{kind}Tr" / f"heart_{number:03}.nii.gz"
            save_nifti(path, values, zooms=(1.5, 1.5, 10.0))
    about = {
        "name": "Heart",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "left", "2": "right"},
        "numTraining": cases,
        "training": [
            {
                "image": f"./imagesTr/heart_{number:03}.nii.gz",
                "label": f"./labelsTr/heart_{number:03}.nii.gz",
            }
            for number in range(cases)
        ],
    }
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_task(tmp_path_factory.mktemp("data") / "Task01_Heart")


@pytest.fixture
def received(monkeypatch):
    """The recipes that training is asked for, in place of training."""
    received = []

    def train(recipe, output, **options):
        received.append((recipe, options))

    monkeypatch.setattr(training, "train", train)
    return received


def test_a_folder_of_volumes_says_what_follows(task, received):
    _, notes = run_cli("train", task, "--fold", "1/4")
    assert "is read as nnunet: it holds dataset.json and imagesTr." in notes
    ((recipe, options),) = received
    assert (recipe.data, recipe.model, recipe.fold) == ("nnunet", "unet", "1/4")
    assert (recipe.image_size, recipe.sampling) == ((8, 16, 24), "crop")
    assert recipe.spacing == (10.0, 1.5, 1.5)
    assert (recipe.channels, recipe.num_classes) == (1, 3)
    assert recipe.minutes == 25
    assert options["fingerprint"].cases == 5
    for line in ("image_size", "spacing", "10x1.5x1.5: the median, in mm"):
        assert line in notes
    assert len(recipe.read_dataset().test) == 2


def test_a_folder_of_images_is_measured_too(tmp_path, received):
    folder = write_images(tmp_path / "images")
    _, notes = run_cli("train", folder, "--epochs", 2, "--model", "vnet")
    assert "is read as image_folder: it has the layout of no other" in notes
    ((recipe, _),) = received
    assert (recipe.model, recipe.data) == ("vnet", "image_folder")
    assert recipe.data_dir == str(folder)
    assert (recipe.epochs, recipe.minutes) == (2, None)


def test_without_a_folder_it_is_the_generated_set(received):
    _, notes = run_cli("train")
    ((recipe, options),) = received
    assert recipe.data == "synthetic" and options["fingerprint"] is None
    assert "image_size" not in notes


def test_a_broken_image_is_named_before_training(tmp_path, received):
    folder = write_images(tmp_path / "images")
    path = folder / "train" / "images" / "1.png"
    path.write_bytes(path.read_bytes()[:50])
    _, error = run_cli("train", folder, code=2)
    assert "1 of 3 samples can't be used" in error and str(path) in error
    run_cli("train", folder, "--skip-broken")
    assert received[0][1]["fingerprint"].cases == 2


@pytest.mark.slow
def test_trains_volumes_and_goes_on(tmp_path, task):
    output = tmp_path / "run"
    words = [task, *TINY, "--output", output]
    run_cli("train", *words)
    run = Run(output)
    assert run.fingerprint.rank == 3 and run.fingerprint.cases == 4
    assert run.preprocessing.spacing == (10.0, 1.5, 1.5)
    assert run.classes is None
    image, mask = run.read_splits().test[0].load()
    assert image.shape == mask.shape and image.ndim == 4
    assert 0 <= image.min() and image.max() <= 1
    # What isn't given is as it was in the run, and nothing is measured.
    words[words.index("--epochs") + 1] = "2"
    _, error = run_cli("train", *words, "--resume", code=2)
    assert "`--epochs` was 1 and is 2" in error  # Its schedule has ended.
    run_cli("train", task, "--output", output, "--resume")
    with open(run.path("history"), newline="") as file:
        assert len(list(csv.DictReader(file))) == 1
    # Other volumes of the same names are not those of the run.
    moved = write_task(tmp_path / "moved")
    for path in (moved / "imagesTr").iterdir():
        save_nifti(path, np.ones((9, 9, 9), "int16"), zooms=(1, 1, 1))
        label = moved / "labelsTr" / path.name
        save_nifti(label, np.ones((9, 9, 9), "uint8"), zooms=(1, 1, 1))
    words = ["train", moved, "--output", output, "--resume"]
    _, error = run_cli(*words, code=2)
    assert "The data set is not the one" in error


@pytest.mark.slow
def test_prepares_volumes_that_training_reads(tmp_path, task):
    folder = tmp_path / "prepared"
    shown, _ = run_cli("prepare", folder, "--data-dir", task)
    assert f"{folder / 'train'}: 4 images, 4 shards" in shown
    runs = []
    for cache in (folder, "memory"):
        output = tmp_path / f"run-{len(runs)}"
        words = [*TINY, "--cache", cache, "--output", output]
        run_cli("train", task, *words)
        with open(output / "history.csv", newline="") as file:
            (row,) = csv.DictReader(file)
        runs.append({k: v for k, v in row.items() if k != "seconds"})
    assert runs[0] == runs[1]
