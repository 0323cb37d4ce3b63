"""Exported models behind servers, on loopback."""

import base64
import io
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dca_keras import export
from dca_keras.data import read_image, resize_image
from dca_keras.prediction import to_mask
from tests.conftest import SHARED
from tests.export.exports import difference, draw, narrow_model
from tests.export.hostile import (
    encode,
    hostile_arrays,
    hostile_files,
    odd_files,
)
from tests.export.serving import Refused, Signatures, start_grpc, start_process

SIZE = (32, 48)
NAME = "unet_dca"
CLIENT = pathlib.Path(__file__).resolve().parents[2] / "scripts"
# The messages of tensorflow-serving-api, for gRPC, import TensorFlow.
ABSENT = {"rest": ["dca_keras", "tensorflow"], "grpc": ["dca_keras"]}
RUN_WITHOUT = (
    "import runpy, sys; sys.modules.update(dict.fromkeys({}));"
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.fixture(scope="module")
def model():
    return narrow_model("unet", True, (*SIZE, 3))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / NAME
    return export.saved_model(model, path).path


@pytest.fixture(scope="module")
def signatures(folder):
    return Signatures(folder)


@pytest.fixture(scope="module")
def rpc_port(signatures):
    server, port = start_grpc(signatures)
    yield port
    server.stop(None)


@pytest.fixture(scope="module")
def rest_port(folder, tmp_path_factory):
    pytest.importorskip("kserve")
    with open(tmp_path_factory.mktemp("log") / "server.txt", "w") as log:
        process, port, _ = start_process(folder, NAME, log)
        yield port
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Paths of real images where they are at hand, else of drawn ones."""
    real = sorted((SHARED / "data").glob("*/test_images/*.png"))[:2]
    if real:
        return real
    folder = tmp_path_factory.mktemp("photos")
    for index, image in enumerate(draw(2, (120, 90), 3)):
        pixels = np.uint8(255 * image)
        (folder / f"{index}.png").write_bytes(encode(pixels))
    return sorted(folder.iterdir())


def segment(model, image):
    """Probabilities at the image's own size, by our own arithmetic."""
    resized = resize_image(image, SIZE)
    probabilities = model.predict_on_batch(resized[None])[0]
    return resize_image(probabilities, image.shape[:2])


def read_bytes(data, path):
    path.write_bytes(data)
    return read_image(path, 3)


def row(data):
    return {"b64": base64.b64encode(data).decode()}


def post(port, **payload):
    requests = pytest.importorskip("requests")
    url = f"http://127.0.0.1:{port}/v1/models/{NAME}:predict"
    return requests.post(url, json=payload, timeout=60)


# === What the model answers ===


@pytest.mark.parametrize("kind", odd_files())
def test_decodes_and_resizes_as_training_does(
    model, signatures, tmp_path, kind
):
    data = odd_files()[kind]
    suffix = ".jpg" if "JPEG" in kind else ".png"
    image = read_bytes(data, tmp_path / f"image{suffix}")
    expected = segment(model, image)
    answer = signatures.run("image_bytes", [data])
    assert difference(answer["probabilities"][0], expected) < 1e-5
    assert answer["sizes"].tolist() == [list(image.shape[:2])]
    np.testing.assert_array_equal(
        answer["classes"], to_mask(answer["probabilities"])
    )
    (mask,) = signatures.run("mask_png", [data])["mask_bytes"]
    np.testing.assert_array_equal(
        Image.open(io.BytesIO(mask)), 255 * answer["classes"][0]
    )


def test_a_batch_of_several_sizes(model, signatures):
    sizes = [(50, 20), (21, 64)]
    images = [draw(1, size, 3)[0] for size in sizes]
    data = [encode(np.uint8(255 * image)) for image in images]
    answer = signatures.run("image_bytes", data)
    assert answer["sizes"].tolist() == [list(size) for size in sizes]
    assert answer["classes"].shape == (2, 50, 64)
    masks = signatures.run("mask_png", data)["mask_bytes"]
    for index, (height, width) in enumerate(sizes):
        alone = signatures.run("image_bytes", data[index : index + 1])
        found = answer["probabilities"][index]
        assert (
            difference(found[:height, :width], alone["probabilities"][0]) < 1e-6
        )
        assert not found[height:].any() and not found[:, width:].any()
        mask = Image.open(io.BytesIO(masks[index]))
        np.testing.assert_array_equal(mask, 255 * alone["classes"][0])


def test_masks_of_several_classes_hold_indices(tmp_path):
    model = narrow_model("unet", True, (*SIZE, 1), num_classes=3)
    served = Signatures(export.saved_model(model, tmp_path / "grey").path)
    data = encode(np.uint8(255 * draw(1, (40, 30), 3)[0]))
    image = read_image(_write(tmp_path / "image.png", data), 1)
    expected = segment(model, image)
    answer = served.run("image_bytes", [data])
    assert difference(answer["probabilities"][0], expected) < 1e-5
    (mask,) = served.run("mask_png", [data])["mask_bytes"]
    np.testing.assert_array_equal(
        Image.open(io.BytesIO(mask)), answer["classes"][0]
    )


@pytest.mark.parametrize("signature", ["image_bytes", "mask_png"])
def test_refuses_what_is_no_image(signatures, signature):
    good = odd_files()["grey"]
    before = signatures.run(signature, [good])
    for kind, (data, message) in hostile_files().items():
        for files in ([data], [good, data]):
            with pytest.raises(Refused) as error:
                signatures.run(signature, files)
            assert error.match(message), kind
    for files in ([], [[good]], good):
        with pytest.raises(Refused):
            signatures.run(signature, np.array(files, object))
    after = signatures.run(signature, [good])
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])


@pytest.mark.parametrize("kind", hostile_arrays(*SIZE, 3))
def test_refuses_arrays_that_are_no_images(signatures, kind):
    array, message = hostile_arrays(*SIZE, 3)[kind]
    with pytest.raises(Refused, match=message):
        signatures.run("serving_default", array)


# === Behind servers ===


@pytest.mark.slow
def test_kserve_answers_in_tensorflow_servings_form(model, rest_port, photos):
    images = [read_image(path) for path in photos]
    resized = np.stack([resize_image(image, SIZE) for image in images])
    answer = post(rest_port, instances=resized.tolist())
    found = np.array(answer.json()["predictions"], "float32")
    assert difference(found, model.predict_on_batch(resized)) < 1e-5
    files = [row(path.read_bytes()) for path in photos]
    answer = post(rest_port, signature_name="image_bytes", instances=files)
    for image, found in zip(images, answer.json()["predictions"], strict=True):
        expected = segment(model, image)
        height, width = found["sizes"]
        assert (height, width) == image.shape[:2]
        found = np.array(found["probabilities"], "float32")
        assert difference(found[:height, :width], expected) < 1e-5


@pytest.mark.slow
def test_kserve_answers_the_next_request(rest_port):
    good = {"signature_name": "mask_png"}
    good["instances"] = [{"image_bytes": row(odd_files()["grey"])}]
    first = post(rest_port, **good)
    assert first.ok
    for kind, (data, message) in hostile_files().items():
        answer = post(rest_port, **good | {"instances": [row(data)]})
        assert answer.status_code == 400, kind
        pytest.raises(ValueError, _raise, answer).match(message)
        assert post(rest_port, **good).content == first.content
    for payload in (
        {},
        {"instances": []},
        {"instances": [[1]]},
        {"instances": "text"},
        {"instances": [{"b64": "@"}], "signature_name": "mask_png"},
        {"instances": [1], "signature_name": "none"},
    ):
        assert post(rest_port, **payload).status_code == 400
    assert post(rest_port, **good).content == first.content


def test_grpc_answers_predict_requests(model, rpc_port, photos):
    grpc = pytest.importorskip("grpc")
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    def ask(value):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = NAME
        request.inputs["images"].CopyFrom(tf.make_tensor_proto(value))
        return stub.Predict(request, timeout=60).outputs["probabilities"]

    images = [resize_image(read_image(path), SIZE) for path in photos]
    images = np.stack(images)
    with grpc.insecure_channel(f"127.0.0.1:{rpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        expected = model.predict_on_batch(images)
        assert difference(tf.make_ndarray(ask(images)), expected) < 1e-5
        for array, message in hostile_arrays(*SIZE, 3).values():
            with pytest.raises(grpc.RpcError, match=message) as error:
                ask(array)
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert difference(tf.make_ndarray(ask(images)), expected) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("form", ["rest", "grpc"])
def test_the_client(request, model, photos, tmp_path, form):
    if form == "rest":
        place = f"http://127.0.0.1:{request.getfixturevalue('rest_port')}"
    else:
        place = f"127.0.0.1:{request.getfixturevalue('rpc_port')}"
    path = _write(tmp_path / "cell.png", photos[0].read_bytes())
    _run_client(form, place, path)
    image = read_image(path)
    mask = np.asarray(Image.open(tmp_path / "cell_mask.png"))
    probabilities = segment(model, image)
    sure = np.abs(probabilities[..., 0] - 0.5) > 1e-5
    expected = 255 * to_mask(probabilities)
    np.testing.assert_array_equal(mask[sure], expected[sure])
    overlay = np.asarray(Image.open(tmp_path / "cell_overlay.png"))
    original = np.asarray(Image.open(path).convert("RGB"))
    changed = (overlay != original).any(-1)
    np.testing.assert_array_equal(changed, mask > 0)
    bad = _write(tmp_path / "text.png", b"not an image, but some text" * 9)
    with pytest.raises(subprocess.CalledProcessError) as error:
        _run_client(form, place, bad)
    assert "whole bytes of a PNG, JPEG or BMP" in error.value.stderr
    assert not (tmp_path / "text_mask.png").exists()


def _run_client(form, place, path):
    code = RUN_WITHOUT.format(ABSENT[form])
    script = CLIENT / "serving_client.py"
    subprocess.run(
        [sys.executable, "-c", code, script, path, f"--{form}", place],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"GRPC_VERBOSITY": "NONE"},
    )


def _write(path, data):
    path.write_bytes(data)
    return path


def _raise(answer):
    raise ValueError(answer.json()["error"])
