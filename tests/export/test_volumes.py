"""Exports of 3-D models, and what they say of their preprocessing."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from dca_keras import Run, export
from dca_keras.cli import app
from dca_keras.evaluation import evaluate_run
from tests.export.exports import difference, draw, narrow_model
from tests.export.serving import start_process
from tests.volume_run import write_dataset, write_volume_run

NEEDED = {"onnx": ("tf2onnx", "onnxruntime"), "openvino": ("openvino",)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    data_dir = write_dataset(folder / "data", shift=1)
    return write_volume_run(folder / "run", data_dir)


def test_the_card_says_what_a_client_must_do(run):
    pytest.importorskip("tensorflow_serving")
    done = export.export_run(run, "saved_model")
    assert not done.drawn and done.difference < 1e-5
    card = json.loads((done.path / "model_card.json").read_text())
    assert card["preprocessing"] == {
        "spacing": None,
        "intensities": [[-50, 150]],
    }
    assert "-50.0 and 150.0 to 0 and 1" in " ".join(card["before_and_after"])
    assert "windows of 8×16×16" in " ".join(card["before_and_after"])
    copied = (done.path / "fingerprint.json").read_bytes()
    assert copied == Run(run).path("fingerprint").read_bytes()


def test_a_saved_model_of_volumes_scores_as_its_run(run, tmp_path):
    pytest.importorskip("tensorflow_serving")
    expected = evaluate_run(run)
    done = export.export_run(run, "saved_model", tmp_path / "served")
    words = ["evaluate", "--saved-model", done.path, "--data", "nnunet"]
    words += ["--data-dir", run.parent / "data", "--output", tmp_path / "out"]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["grid"] == "original"
    assert found["per_case"] == expected["per_case"]


@pytest.mark.slow
@pytest.mark.parametrize("format", NEEDED)
def test_runtimes_say_the_same_of_volumes(tmp_path, format):
    for module in NEEDED[format]:
        pytest.importorskip(module)
    model = narrow_model("unet", True, (16, 16, 16, 2), num_classes=3)
    write, load = getattr(export, format), getattr(export, f"load_{format}")
    done = write(model, tmp_path / "unet")
    assert done.difference < 1e-3
    volumes = draw(2, (16, 16, 16), 2)
    found = load(str(done.path))(volumes)
    assert difference(found, model.predict_on_batch(volumes)) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, reason",
    [("unet", "no operation MaxPool3D|AvgPool3D"), ("vnet", "prelu .* rank 4")],
)
def test_litert_says_what_it_lacks(tmp_path, name, reason):
    pytest.importorskip("ai_edge_litert")
    model = narrow_model(name, False, (16, 16, 16, 1))
    with pytest.raises(ValueError, match=reason) as error:
        export.litert(model, tmp_path / name)
    assert len(str(error.value)) < 300
    assert list(tmp_path.iterdir()) == []


def test_checks_with_the_middle_of_volumes():
    model = narrow_model("vnet", False, (16, 16, 16, 1))
    volumes = [np.zeros((10, 30, 16, 1)), np.zeros((40, 16, 3, 1))]
    volumes[0][0, 7], volumes[1][12, 0, 0] = 1, 1
    fitted = export._check.check_images(model, volumes)
    assert fitted.shape == (2, 16, 16, 16, 1)
    assert fitted[0, 3, 0].all() and fitted.sum() == 17
    assert fitted[1, 0, 0, 6] == 1


@pytest.mark.slow
def test_a_volume_goes_to_a_server_and_back(tmp_path):
    pytest.importorskip("kserve")
    requests = pytest.importorskip("requests")
    model = narrow_model("unet", True, (16, 16, 16, 2), num_classes=3)
    path = export.saved_model(model, tmp_path / "volumes").path
    volumes = draw(2, (16, 16, 16), 2)
    with open(tmp_path / "log.txt", "w") as log:
        process, port, _ = start_process(path, "volumes", log)
    try:
        url = f"http://127.0.0.1:{port}/v1/models/volumes:predict"
        payload = {"instances": volumes.tolist()}
        answer = requests.post(url, json=payload, timeout=60)
        found = np.array(answer.json()["predictions"], "float32")
        expected = model.predict_on_batch(volumes)
        assert difference(found, expected) < 1e-5
        payload["instances"][0][0][0][0][0] = 7
        refused = requests.post(url, json=payload, timeout=60)
        assert refused.status_code == 400
        assert "must be floats in [0, 1]" in refused.json()["error"]
    finally:
        process.terminate()
        process.wait()
