"""Calibrated 8 bits: convolutions only, and only if Dice stays."""

import json
import sys

import pytest
from typer.testing import CliRunner

from dca_keras import Run, export
from dca_keras.cli import app
from dca_keras.export import _accuracy
from tests.export.exports import difference, draw, narrow_model, use
from tests.tiny_run import read_all, tiny_recipe, write_images, write_run

NEEDED = {
    "openvino": ("openvino", "nncf"),
    "litert": ("ai_edge_litert", "ai_edge_quantizer"),
}
FORMATS = [pytest.param(name, marks=pytest.mark.slow) for name in NEEDED]
WAYS = {
    "openvino": {"average", "histogram"},
    "litert": {"average", "widest"},
}
LOSS = "Dice on the validation split is 0.8000 and was 0.9000"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    images = write_images(folder / "images")
    run = write_run(folder / "run", tiny_recipe(images))
    # Random weights alone may leave layers without any range.
    use(Run(run).load_model()).save(run / "model.keras")
    return run


def need(format):
    for module in NEEDED[format]:
        pytest.importorskip(module)


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def write(format, tmp_path, shape=(32, 48, 3)):
    need(format)
    model = narrow_model("unet", True, shape)
    images = draw(4, shape[:-1], shape[-1])
    export_to = getattr(export, format)
    done = export_to(model, tmp_path / "unet", calibration=images)
    found = getattr(export, f"load_{format}")(str(done.path))(images)
    return done.path, difference(found, model.predict_on_batch(images))


@pytest.mark.slow
def test_openvino_quantizes_convolutions_and_nothing_else(tmp_path):
    path, largest = write("openvino", tmp_path)
    assert 0 < largest < 0.1
    import openvino

    readers = {}
    for node in openvino.Core().read_model(path).get_ops():
        sources = [port.get_node() for port in node.input_values()]
        kinds = {source.get_type_name() for source in sources}
        readers.setdefault(node.get_type_name(), []).append(kinds)
    assert all("FakeQuantize" in kinds for kinds in readers["Convolution"])
    for kind in ("MatMul", "Softmax"):
        assert not any("FakeQuantize" in kinds for kinds in readers[kind])


@pytest.mark.slow
def test_litert_quantizes_convolutions_and_nothing_else(tmp_path):
    path, largest = write("litert", tmp_path)
    assert 0 < largest < 0.1
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    dtypes = {
        tensor["index"]: tensor["dtype"].__name__
        for tensor in interpreter.get_tensor_details()
    }
    seen = {}
    for op in interpreter._get_ops_details():
        kinds = {dtypes.get(index) for index in op["outputs"]}
        seen.setdefault(op["op_name"], set()).update(kinds)
    assert seen["CONV_2D"] == {"int8"}
    assert seen["BATCH_MATMUL"] == seen["SOFTMAX"] == {"float32"}


@pytest.mark.slow
def test_volumes_have_8_bits_too(tmp_path):
    _, largest = write("openvino", tmp_path, (16, 16, 16, 1))
    assert 0 < largest < 0.1


@pytest.mark.parametrize("format", FORMATS)
def test_the_command_says_dice_before_and_after(run, tmp_path, format):
    need(format)
    words = ["export", run, "--format", f"{format}_int8"]
    # Whatever random weights lose: it is what is written that counts here.
    done = call(*words, "--output", tmp_path, "--max-dice-loss", 1)
    assert done.exit_code == 0, done.output
    (path,) = tmp_path.glob("*.json")
    card = json.loads(path.read_text())
    found = card["quantization"]
    assert found["calibration"] == "3 images of the validation split"
    assert (
        f"Dice on the validation split: {found['dice_before']:.4f} before, "
        f"{found['dice_after']:.4f} after" in done.stdout
    )
    assert found["scale"] in WAYS[format]
    assert card["format"] == f"{format}_int8"
    assert path.with_suffix("").is_file()


@pytest.mark.parametrize("format", FORMATS)
def test_keeps_the_file_that_scores_best(format, tmp_path):
    need(format)
    images = draw(4, (32, 48), 3)
    found = {}

    def choose(functions):
        assert functions.keys() == WAYS[format]
        found.update({k: function(images) for k, function in functions.items()})
        return max(functions)

    done = getattr(export, format)(
        narrow_model("unet", True, (32, 48, 3)),
        tmp_path / "unet",
        calibration=images,
        choose=choose,
    )
    kept = getattr(export, f"load_{format}")(str(done.path))(images)
    assert difference(kept, found[max(found)]) == 0
    assert difference(kept, found[min(found)]) > 0


@pytest.mark.parametrize("format", FORMATS)
def test_keeps_no_file_that_loses_dice(run, monkeypatch, format):
    need(format)
    scores = iter([0.9, 0.7, 0.8])
    monkeypatch.setattr(_accuracy, "run_dice", lambda *_: next(scores))
    before = read_all(run)
    done = call("export", run, "--format", f"{format}_int8")
    assert done.exit_code == 2
    assert LOSS in done.stderr and "`--max-dice-loss`" in done.stderr
    assert read_all(run) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-dice-loss", 2], "must be a number from 0 to 1"),
        (["--data-dir", "gone"], "which can't be read"),
    ],
)
def test_says_what_calibration_needs(run, words, message):
    need("openvino")
    before = read_all(run)
    done = call("export", run, "--format", "openvino_int8", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert read_all(run) == before


def test_only_calibrated_formats_can_lose_dice(run):
    done = call("export", run, "--format", "onnx", "--max-dice-loss", 0.1)
    assert done.exit_code == 2
    assert "is for the formats openvino_int8 and litert_int8" in done.stderr


@pytest.mark.parametrize("format", NEEDED)
def test_names_the_extra_before_any_work(monkeypatch, tmp_path, format):
    for module in NEEDED[format]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"dca-keras\["):
        getattr(export, format)("no model", tmp_path / "x", calibration=[])
    assert list(tmp_path.iterdir()) == []
