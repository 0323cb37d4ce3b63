import json
import os
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from dca_keras import __version__, training
from dca_keras.cli import app
from dca_keras.recipe import make_recipe
from dca_keras.zoo import list_models
from tests.tiny_run import read_all, tiny_recipe, write_images, write_run

SCRIPTS = Path(__file__).parents[2] / "scripts"
TINY = "--image-size 32 --filters 4,4,8 --epochs 1 --no-dca".split()


def run_cli(*words, code=0):
    """The output and the errors of a command that exits with `code`."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def run_python(*words):
    """Runs the command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS.parent)}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture
def run(tmp_path, data_dir):
    return write_run(tmp_path / "run", tiny_recipe(data_dir))


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], []])
def test_helps_without_importing_anything_heavy(words):
    command = ["-X", "importtime", "-m", "dca_keras.cli", *words]
    result = run_python(*command)
    assert "Usage: dca-keras" in result.stdout
    imported = {
        line.split("|")[-1].strip() for line in result.stderr.split("\n")
    }
    assert "dca_keras" in imported
    heavy = {"keras", "tensorflow", "numpy", "matplotlib", "scipy", "PIL"}
    assert not heavy & imported


def test_says_its_version():
    assert run_cli("--version")[0] == f"{__version__}\n"


def test_lists_the_models():
    shown = run_cli("models", "unet", "resunet_plus_plus")[0]
    rows = [line.split() for line in shown.splitlines()[1:]]
    assert rows[0] == ["unet", "8,637,345", "8,745,985", "1", *"8421"]
    assert rows[1][1:] == ["13,090,980", "13,120,996", "1", *"421"]
    assert "no model 'u_net'" in run_cli("models", "u_net", code=2)[1]


@pytest.mark.slow
def test_lists_all_models():
    rows = [line.split() for line in run_cli("models")[0].splitlines()[1:]]
    assert [row[0] for row in rows] == list_models()


def test_shows_what_is_in_a_dataset(tmp_path, data_dir):
    sheet = tmp_path / "sheet.png"
    shown, _ = run_cli("data", data_dir, "--sheet", sheet)
    rows = [line.split() for line in shown.splitlines()]
    assert ["train", "3", "3", "40x48:", "1"] == rows[1][:5]
    splits = [row[0] for row in rows if len(row) == 8]
    assert splits == ["split", "train", "val", "test"]
    with Image.open(sheet) as picture:
        assert picture.width > 6 * 128
    broken = data_dir.with_name("broken")
    shutil.copytree(data_dir, broken)
    path = broken / "val" / "images" / "1.png"
    path.write_bytes(path.read_bytes()[:50])
    shown, errors = run_cli("data", broken, "--sheet", sheet, code=1)
    assert "train" in shown and str(path) in errors
    train = ["train", "--data", "image_folder", "--data-dir", broken]
    output = tmp_path / "run"
    _, errors = run_cli(*train, *TINY, "--output", output, code=2)
    assert str(path) in errors and not output.exists()
    _, errors = run_cli(*train, *TINY, "--output", output, "--skip-broken")
    assert f"Skipped: {path}" in errors
    record = json.loads((output / "recipe.json").read_text())
    assert record["samples"]["val"] == ["val-0", "val-2"]


def test_an_empty_mask_where_one_is_required(tmp_path, data_dir):
    emptied = tmp_path / "emptied"
    shutil.copytree(data_dir, emptied)
    path = emptied / "train" / "masks" / "1.png"
    Image.new("L", Image.open(path).size).save(path)
    train = ["train", "--data", "image_folder", "--data-dir", emptied, *TINY]
    train += ["--no-empty-masks", "--output", tmp_path / "run"]
    _, errors = run_cli(*train, code=2)
    assert f"{path} has an empty mask" in errors
    assert not (tmp_path / "run").exists()


def test_prepares_what_training_then_reads(tmp_path, data_dir):
    folder, options = tmp_path / "prepared", ["--data", "image_folder"]
    options += ["--data-dir", data_dir, "--image-size", "32"]
    shown, _ = run_cli("prepare", folder, *options)
    assert f"{folder / 'train'}: 3 images, 1 shards" in shown
    before = read_all(folder)
    small = ["--filters", "4,4,8", "--epochs", "2", "--no-dca"]
    histories = []
    for cache in (folder, "memory", "none"):
        output = tmp_path / f"run-{len(histories)}"
        run_cli(
            *("train", *options, *small, "--cache", cache),
            *("--output", output),
        )
        rows = (output / "history.csv").read_text().splitlines()
        histories.append([row.rpartition(",")[0] for row in rows])
    assert histories[0] == histories[1] == histories[2]
    assert read_all(folder) == before


def test_trains_evaluates_and_predicts(tmp_path, data_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--data", "image_folder", "--data-dir", data_dir, *TINY]
    shown, notes = run_cli("train", *words)
    folder = "runs/unet-image_folder-seed0"
    scores = json.loads((tmp_path / folder / "metrics.json").read_text())
    first = f"test: Dice {scores['dice']:.4f}, IoU {scores['iou']:.4f}"
    assert shown.startswith(first)
    for name in ("model.keras", "metrics.json", "history.csv"):
        assert f"  {folder}/{name}\n" in shown
    assert "epoch 1/1" in notes

    (tmp_path / folder / "metrics.json").unlink()
    assert run_cli("evaluate", folder)[0].startswith(first)
    again = json.loads((tmp_path / folder / "metrics.json").read_text())
    assert again == scores

    image = data_dir / "test" / "images" / "0.png"
    shown, _ = run_cli("predict", folder, image)
    assert shown == (
        f"1 masks and overlays: {folder}/predictions\n"
        "  1 resized to 32×32, as in training\n"
    )
    assert (tmp_path / folder / "predictions" / "0_mask.png").exists()

    before = read_all(tmp_path)
    _, error = run_cli("train", *words, code=2)
    assert f"Error: {folder} already holds a run (checkpoint" in error
    assert read_all(tmp_path) == before


def test_trains_from_the_shell(tmp_path, data_dir):
    output = tmp_path / "run"
    words = ["--data", "image_folder", "--data-dir", data_dir, *TINY]
    command = ["-m", "dca_keras.cli", "train", "--output", output, *words]
    result = run_python(*command)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("test: Dice 0.")
    # Nothing of TensorFlow's own.
    words = ("oneDNN", "absl", "cuda")
    assert not [word for word in words if word in result.stderr]
    assert (output / "predictions.png").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"model": "vnet", "data": "synthetic", "dca": False, "seed": 7},
        {"image_size": (64, 96), "filters": (4, 8, 16), "epochs": 3},
        {"channels": 1, "num_classes": 3, "batch_size": 2, "augment": False},
        {
            "learning_rate": 1e-5,
            "protocol": "paper",
            "dtype": "mixed_bfloat16",
            "dca": True,
        },
    ],
)
def test_the_command_of_a_recipe_gives_that_recipe(monkeypatch, overrides):
    received = []
    monkeypatch.setattr(
        training, "train", lambda recipe, *_, **__: received.append(recipe)
    )
    recipe = make_recipe(**overrides)
    CliRunner().invoke(app, shlex.split(recipe.command())[1:])
    assert received == [recipe]


def test_ctrl_c_exits_with_130(monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupt)
    run_cli("train", code=130)


BAD_TRAINING = [
    ("--model u_net", "Error: `--model` must be one of 'unet', 'vnet', "),
    ("--data cifar", "Error: `--data` must be one of '"),
    ("--image-size 100", "Error: `--image-size` sides must be multiples of 16"),
    ("--image-size big", "Error: `--image-size` must be integers with 'x'"),
    (
        "--image-size 64x64x64",
        "Error: `--image-size` must have 2 sides, as ",
    ),
    ("--filters 4;8;16", "Error: `--filters` must be integers with ','"),
    ("--num-classes 0", "Error: `--num-classes` must be a positive integer"),
    ("--epochs 0", "Error: `--epochs` must be a positive integer"),
    ("--learning-rate nan", "Error: `--learning-rate` must be a positive"),
    ("--dtype half", "Error: `--dtype` must be one of 'float32', "),
    ("--data image_folder", "Error: 'image_folder' needs `--data-dir`"),
    (
        "--data image_folder --data-dir /no/such/folder",
        "Error: /no/such/folder can't be read as a folder",
    ),
]


@pytest.mark.parametrize("words, message", BAD_TRAINING)
def test_says_in_a_line_what_is_wrong(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    shown, error = run_cli("train", *words.split(), code=2)
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert shown == ""
    assert list(tmp_path.iterdir()) == []


def test_shows_the_traceback_when_asked():
    words = ["--debug", "train", "--epochs", "0"]
    assert isinstance(CliRunner().invoke(app, words).exception, ValueError)
    result = CliRunner().invoke(app, words[1:], env={"DCA_KERAS_DEBUG": "1"})
    assert isinstance(result.exception, ValueError)


@pytest.mark.parametrize("missing", ["model.keras", "recipe.json"])
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_needs_a_whole_run(run, data_dir, command, missing):
    (run / missing).unlink()
    files = [data_dir / "test/images/0.png"] * (command == "predict")
    _, error = run_cli(command, run, *files, code=2)
    assert error.startswith(f"Error: {run / missing} is missing")


def test_predicts_the_good_files_and_lists_the_broken(run, data_dir, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not an image")
    images = data_dir / "test" / "images"
    output = tmp_path / "masks"
    files = [images / "0.png", text, images / "2.png"]
    shown, error = run_cli("predict", run, *files, "--output", output, code=1)
    assert shown == (
        f"2 masks and overlays: {output}\n"
        "  2 resized to 32×32, as in training\n"
    )
    assert error.startswith(f"Error: {text} can't be read")
    assert (output / "2_overlay.png").exists()


def test_the_scripts_run(run, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["evaluate.py", str(run), str(run)])
    runpy.run_path(SCRIPTS / "evaluate.py", run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["model", "DCA", "seed"]
    assert lines[1] == lines[2]
    assert lines[1].split()[:4] == ["unet", "no", "0", "2,873"]

    def fake(recipe, output):
        received.append((recipe, output))
        return {"dice": 0.5, "iou": 0.25}

    received = []
    monkeypatch.setattr(training, "train", fake)
    runpy.run_path(SCRIPTS / "train.py", run_name="__main__")
    assert received == [(make_recipe(), Path("runs/unet-dca-synthetic-seed0"))]
    assert "Dice 0.5000, IoU 0.2500: runs/" in capsys.readouterr().out
