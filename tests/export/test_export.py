import itertools
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dca_keras import DCAConfig, export
from dca_keras.export._folding import inference_model
from dca_keras.prediction import side_multiple
from dca_keras.zoo import list_models
from tests.export.exports import difference, draw, narrow_model

FORMATS = {
    "onnx": (export.onnx, export.load_onnx, ".onnx", {}),
    "openvino": (export.openvino, export.load_openvino, ".xml", {}),
    "litert": (export.litert, export.load_litert, ".tflite", {}),
    "litert_int8": (
        export.litert,
        export.load_litert,
        ".tflite",
        {"int8": True},
    ),
}
# The model that is exported in every run of the tests; the rest is slow.
QUICK = (("unet", True), ("vnet", False))
NEEDED = {
    "onnx": ("tf2onnx", "onnxruntime"),
    "openvino": ("openvino",),
    "litert": ("ai_edge_litert",),
    "litert_int8": ("ai_edge_litert",),
}


@keras.saving.register_keras_serializable(package="tests")
class Counter(layers.Layer):
    """Says something else whenever it is traced anew."""

    traces = itertools.count()

    def call(self, inputs):
        return inputs + float(next(self.traces))


def tiny_model(*middle, sides=(16, 16), channels=3, **head):
    x = inputs = keras.Input((*sides, channels))
    for layer in middle:
        x = layer(x)
    head = layers.Conv2D(1, 1, activation="sigmoid", name="head", **head)
    return keras.Model(inputs, head(x), name="tiny")


def fickle_model():
    """A model of which no copy says the same."""
    model = tiny_model()
    return keras.Model(model.input, Counter()(model.output), name="fickle")


def norms_of(model):
    return {
        layer.name
        for layer in model.layers
        if isinstance(layer, layers.BatchNormalization)
    }


# === The model that is exported ===


@pytest.mark.parametrize(
    ("name", "dca"),
    [
        pytest.param(
            name, dca, marks=() if (name, dca) in QUICK else pytest.mark.slow
        )
        for name in list_models()
        for dca in (False, True)
    ],
)
def test_folding_changes_no_answer(name, dca):
    model = narrow_model(name, dca, dtype="float64")
    images = draw(2, (32, 48), 3)
    expected = model.predict_on_batch(images)
    assert expected.std() > 1e-3
    folded = inference_model(model)
    # Swin-Unet has layer norms only.
    assert norms_of(folded) < norms_of(model) or name == "swin_unet"
    assert difference(folded.predict_on_batch(images), expected) < 1e-8
    free = inference_model(model, any_size=True)
    assert difference(free.predict_on_batch(images), expected) < 1e-8
    assert side_multiple(free) == (8 if name == "resunet_plus_plus" else 16)


@pytest.mark.parametrize(
    ("middle", "left"),
    [
        ([layers.Conv2D(4, 3), layers.BatchNormalization()], 0),
        ([layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization()], 0),
        (
            [
                layers.Conv2DTranspose(4, 2, 2),
                layers.BatchNormalization(center=False, scale=False),
            ],
            0,
        ),
        (
            [
                layers.Conv2D(4, 3, activation="relu"),
                layers.BatchNormalization(),
            ],
            1,
        ),
        ([layers.Conv2D(4, 3), layers.ReLU(), layers.BatchNormalization()], 1),
        ([layers.Conv2D(4, 3), layers.BatchNormalization(axis=1)], 1),
        ([layers.BatchNormalization(), layers.Conv2D(4, 3)], 1),
        ([layers.DepthwiseConv2D(3), layers.BatchNormalization()], 1),
        (
            [layers.Conv2D(4, 3), layers.Dropout(0.5), layers.GaussianNoise(1)],
            0,
        ),
    ],
)
def test_folds_what_can_be_folded(middle, left):
    model = tiny_model(*middle)
    model(draw(4, (16, 16), 3), training=True)
    folded = inference_model(model)
    assert len(norms_of(folded)) == left
    kinds = {type(layer) for layer in folded.layers}
    assert not kinds & {layers.Dropout, layers.GaussianNoise}
    images = draw(2, (16, 16), 3)
    expected = model.predict_on_batch(images)
    assert difference(folded.predict_on_batch(images), expected) < 1e-6


def test_a_convolution_that_others_read_keeps_its_norm():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3)(inputs)
    x = layers.Add()([x, layers.BatchNormalization()(x)])
    model = keras.Model(inputs, layers.Conv2D(1, 1)(x))
    assert len(norms_of(inference_model(model))) == 1
    outputs = layers.BatchNormalization()(conv := layers.Conv2D(1, 1)(inputs))
    both = keras.Model(inputs, layers.Add()([conv, outputs]))
    assert len(norms_of(inference_model(both))) == 1


def test_operations_of_several_tensors_are_copied():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    weights = keras.ops.softmax(keras.ops.multiply(x, x + 1))
    model = keras.Model(inputs, layers.Conv2D(1, 1)(weights - x))
    images = draw(2, (16, 16), 3)
    expected = model.predict_on_batch(images)
    copied = inference_model(model).predict_on_batch(images)
    assert difference(copied, expected) < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "`dtype` must be None or one of"),
        ({"model": keras.Sequential()}, "must be a functional keras.Model"),
        ({"model": "unet"}, "must be a functional keras.Model"),
    ],
)
def test_says_what_can_be_exported(options, message):
    with pytest.raises(ValueError, match=message):
        inference_model(**({"model": tiny_model()} | options))


# === SavedModel ===


@pytest.mark.slow
def test_half_the_bytes(tmp_path):
    model = narrow_model("unet", False)
    full, *halves = (
        export.saved_model(model, tmp_path / "unet", dtype=dtype)
        for dtype in (None, "bfloat16", "float16")
    )

    def weights(done):
        files = (done.path / "variables").glob("*data*")
        return sum(file.stat().st_size for file in files)

    for number, half in enumerate(halves, 2):
        assert half.path.name == str(number)
        assert weights(half) < 0.6 * weights(full)
        assert full.difference < 1e-5 < half.difference < 0.05


@pytest.mark.slow
def test_any_size_that_the_architecture_allows(tmp_path):
    model = narrow_model("unet", True)
    done = export.saved_model(model, tmp_path / "unet", any_size=True)
    served = export.load_saved_model(tmp_path / "unet")
    assert served.input_shape == (None, None, None, 3)
    assert served.output_shape == (None, None, None, 1)
    free = narrow_model("unet", True, (None, None, 3))
    free.set_weights(model.get_weights())
    for sides in ((32, 48), (64, 16)):
        images = draw(3, sides, 3)
        expected = free.predict_on_batch(images)
        assert difference(served.predict_on_batch(images), expected) < 1e-5
    with pytest.raises(ValueError, match="multiples of 16.*Received"):
        served.predict_on_batch(draw(1, (32, 40), 3))
    assert done.difference < 1e-5


@pytest.mark.parametrize(
    ("shape", "classes", "signatures"),
    [
        ((32, 32, 1), 3, ["image_bytes", "mask_png", "serving_default"]),
        pytest.param(
            (32, 32, 4), 1, ["serving_default"], marks=pytest.mark.slow
        ),
        ((16, 16, 16, 1), 2, ["serving_default"]),
    ],
)
def test_every_kind_of_image(tmp_path, shape, classes, signatures):
    model = narrow_model("unet", True, shape, num_classes=classes)
    done = export.saved_model(model, tmp_path / "unet")
    served = export.load_saved_model(done.path)
    assert sorted(served.signatures) == signatures
    images = draw(2, shape[:-1], shape[-1])
    expected = model.predict_on_batch(images)
    assert difference(served.predict_on_batch(images), expected) < 1e-5
    assert done.difference < 1e-5


def test_versions_appear_whole(tmp_path):
    model = tiny_model()
    folder = tmp_path / "deep" / "tiny"
    with pytest.raises(ValueError, match="differs from the model by"):
        export.saved_model(fickle_model(), folder)
    assert list(tmp_path.iterdir()) == []
    (folder / "7").mkdir(parents=True)
    (folder / "notes").mkdir()
    assert export.saved_model(model, folder).path == folder / "8"
    with pytest.raises(ValueError, match="differs from the model by"):
        export.saved_model(fickle_model(), folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["7", "8", "notes"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="can't be written"):
        export.saved_model(model, tmp_path / "file" / "tiny")


def test_the_warm_up_requests_are_answered(tmp_path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = export.saved_model(tiny_model(), tmp_path / "tiny").path
    signatures = tf.saved_model.load(path).signatures
    records = path / "assets.extra" / "tf_serving_warmup_requests"
    seen = set()
    for record in tf.data.TFRecordDataset(str(records)):
        log = logs.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "tiny"
        ((name, value),) = request.inputs.items()
        signature = request.model_spec.signature_name
        signatures[signature](**{name: tf.constant(tf.make_ndarray(value))})
        seen.add(signature)
    assert seen == {"serving_default", "image_bytes", "mask_png"}


def test_the_model_card(tmp_path):
    model, scores = tiny_model(), {"dice": 0.5}
    done = export.saved_model(model, tmp_path / "tiny")
    card = json.loads((done.path / "model_card.json").read_text())
    assert card == export.load_saved_model(tmp_path / "tiny").card
    assert card["input"]["range"] == [0, 1]
    assert card["input"]["shape"] == [None, 16, 16, 3]
    assert card["image_files"]["segmented_at"] == [16, 16]
    assert card["output"]["classes"] == 1
    assert card["training"] == "not recorded"
    assert card["scores"] == "not measured"
    done = export.saved_model(
        model, tmp_path / "tiny", about={"scores": scores}
    )
    assert export.load_saved_model(tmp_path / "tiny").card["scores"] == scores


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": (32, 32)}, r"`image_size` must be \(16, 16\), the mo"),
        ({"image_size": (20,), "any_size": True}, "two multiples of 1"),
        ({"images": []}, "must hold at least one"),
        ({"images": [np.zeros((16, 16))]}, "2 sides and 3 channels"),
        ({"images": [np.full((16, 16, 3), 9.0)]}, r"floats in \[0, 1\]"),
    ],
)
def test_says_what_a_saved_model_needs(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export.saved_model(tiny_model(), tmp_path / "tiny", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_any_size_needs_one_for_files(tmp_path):
    model = tiny_model(sides=(None, None))
    with pytest.raises(ValueError, match=r"`image_size`.*\(None, None\)"):
        export.saved_model(model, tmp_path / "tiny")
    export.saved_model(model, tmp_path / "tiny", image_size=(24, 16))


@pytest.mark.parametrize("found", ["nothing", "foreign files", "no card"])
def test_says_what_is_no_saved_model(tmp_path, found):
    if found == "foreign files":
        (tmp_path / "saved_model.pb").write_text("text")
        (tmp_path / "model_card.json").write_text("{}")
    if found == "no card":
        export.saved_model(tiny_model(), tmp_path)
        (tmp_path / "1" / "model_card.json").unlink()
    with pytest.raises(ValueError, match="is not a SavedModel as `dca-keras"):
        export.load_saved_model(tmp_path)


# === Other runtimes ===


@pytest.mark.parametrize(
    "format",
    [
        pytest.param(name, marks=() if name == "onnx" else pytest.mark.slow)
        for name in FORMATS
    ],
)
def test_other_runtimes_say_the_same(tmp_path, format):
    for module in NEEDED[format]:
        pytest.importorskip(module)
    write, load, suffix, options = FORMATS[format]
    model = narrow_model("unet", True)
    images = list(draw(3, (40, 50), 3))
    done = write(
        model, tmp_path / "a.b", any_size=True, images=images, **options
    )
    assert done.path == tmp_path / f"a.b{suffix}"
    files = list(tmp_path.iterdir())
    assert done.size == sum(file.stat().st_size for file in files)
    assert (done.images, done.drawn) == (3, False)
    free = narrow_model("unet", True, (None, None, 3))
    free.set_weights(model.get_weights())
    run = load(done.path, threads=1)
    for count, sides in ((2, (32, 48)), (1, (64, 16))):
        images = draw(count, sides, 3)
        found = difference(run(images), free.predict_on_batch(images))
        assert found < (0.05 if options else 1e-3)


def test_constants_are_no_inputs_of_an_onnx_file(tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    norm = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])
    assert export.onnx(tiny_model(norm), tmp_path / "x").difference < 1e-6


@pytest.mark.parametrize("format", FORMATS)
def test_keeps_no_file_that_says_something_else(tmp_path, format):
    for module in NEEDED[format]:
        pytest.importorskip(module)
    write, _, _, options = FORMATS[format]
    if options:
        pytest.skip("8 bits have no bound")
    (tmp_path / "old").write_text("kept")
    message = "can't be exported|differs from the model"
    with pytest.raises(ValueError, match=message):
        write(fickle_model(), tmp_path / "tiny", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.slow
def test_an_exact_gelu_is_exported_or_refused(tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    config = DCAConfig(token_activation=True)
    model = narrow_model("unet", config, (16, 16, 3))
    try:
        done = export.onnx(model, tmp_path / "unet")
    except ValueError as error:
        assert "can't be exported as onnx" in str(error)
        assert list(tmp_path.iterdir()) == []
    else:
        assert done.difference < 1e-3


@pytest.mark.parametrize(
    ("format", "module", "extra"),
    [
        ("saved_model", "tensorflow_serving.apis.predict_pb2", "serving"),
        ("onnx", "onnxruntime", "onnx"),
        ("openvino", "openvino", "openvino"),
        ("litert", "ai_edge_litert.interpreter", "litert"),
    ],
)
def test_names_the_extra_before_any_work(
    tmp_path, monkeypatch, format, module, extra
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'"dca-keras\[{extra}\]"'):
        getattr(export, format)("no model", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("format", "version", "needed"),
    [("openvino", "3.10.0", "3.13"), ("litert", "3.12.3", "3.13")],
)
def test_names_the_keras_that_a_format_needs(
    tmp_path, monkeypatch, format, version, needed
):
    monkeypatch.setattr(keras, "__version__", version)
    message = rf'Keras {needed} or later.*"dca-keras\[{format}\]".*{version}'
    with pytest.raises(ImportError, match=message):
        getattr(export, format)("no model", tmp_path / "x")
