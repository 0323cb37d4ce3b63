import json

import pytest
from typer.testing import CliRunner

from dca_keras import export
from dca_keras._files import write_json
from dca_keras.cli import app
from dca_keras.data import read_dataset
from dca_keras.evaluation import evaluate_model
from dca_keras.prediction import load_run
from tests.tiny_run import read_all, tiny_recipe, write_images, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    images = write_images(folder / "images")
    run = write_run(folder / "run", tiny_recipe(images))
    write_json(run / "metrics.json", {"part": "test", "dice": 0.5, "seed": 0})
    return run


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_exports_a_run(run):
    done = call("export", run)
    assert done.exit_code == 0, done.output
    path = run / "export" / "unet" / "1"
    assert f"{path}: 0." in done.output
    assert "largest difference from the model, on 3 test images" in done.output
    card = json.loads((path / "model_card.json").read_text())
    assert card["name"] == "unet"
    assert card["image_files"]["segmented_at"] == [32, 32]
    assert card["training"]["data"] == "image_folder"
    assert card["training"]["images"] == {"train": 3, "val": 3, "test": 3}
    assert str(run.parent) not in json.dumps(card)
    assert card["scores"] == {"split": "test", "dice": 0.5}


def test_an_export_scores_as_its_run(run, tmp_path):
    done = export.export_run(run, "saved_model", tmp_path)
    model, recipe, _ = load_run(run)
    samples = read_dataset("image_folder", recipe.data_dir).test
    options = {"image_size": recipe.image_size, "batch_size": 2}
    expected = evaluate_model(model, samples, **options)
    served = export.load_saved_model(done.path)
    found = evaluate_model(served, samples, **options)
    assert found["dice"] == pytest.approx(expected["dice"], abs=1e-4)
    assert found["iou"] == pytest.approx(expected["iou"], abs=1e-4)


def test_draws_images_where_the_dataset_is_gone(run, tmp_path):
    pytest.importorskip("ai_edge_litert")
    record = json.loads((run / "recipe.json").read_text())
    record["recipe"]["data_dir"] = str(tmp_path / "gone")
    moved = tmp_path / "run"
    moved.mkdir()
    (moved / "recipe.json").write_text(json.dumps(record))
    (moved / "model.keras").write_bytes((run / "model.keras").read_bytes())
    done = export.export_run(moved, "litert_dynamic", any_size=True)
    assert done.path == moved / "export" / "unet_dynamic.tflite"
    assert done.drawn
    with pytest.raises(ValueError, match="gone"):
        export.export_run(moved, "litert", data_dir=tmp_path / "gone")
    there = json.loads((run / "recipe.json").read_text())["recipe"]["data_dir"]
    assert not export.export_run(moved, "litert", data_dir=there).drawn


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--format", "pdf"],
            "`--format` must be one of ('saved_model'",
        ),
        (
            ["--format", "onnx", "--dtype", "float16"],
            "`--dtype` is for the fo",
        ),
        (["--dtype", "int8"], "`--dtype` must be None or one of"),
    ],
)
def test_the_command_says_what_can_be_exported(run, words, message):
    before = read_all(run)
    done = call("export", run, *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert read_all(run) == before


def test_says_what_is_no_run(tmp_path):
    done = call("export", tmp_path)
    assert done.exit_code == 2
    assert "is not the folder of a run" in done.stderr
