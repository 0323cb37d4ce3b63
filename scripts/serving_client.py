"""Segments an image by a server: python scripts/serving_client.py cell.png

Sends the file to a model that `dca-keras export` wrote and a server such as
TensorFlow Serving serves, and writes cell_mask.png and cell_overlay.png. Takes
requests, or grpcio with --grpc, and NumPy and Pillow for the overlay; neither
this package nor TensorFlow.
"""

import argparse
import base64
import io
import pathlib

import numpy as np
from PIL import Image

SIGNATURE = "mask_png"
TINT = np.array([230, 60, 30])


def mask_by_rest(url, name, data):
    """The mask of an encoded image, as the bytes of a PNG, by REST."""
    import requests

    encoded = base64.b64encode(data).decode()
    request = {"signature_name": SIGNATURE, "instances": [{"b64": encoded}]}
    address = f"{url.rstrip('/')}/v1/models/{name}:predict"
    response = requests.post(address, json=request, timeout=60)
    if not response.ok:
        raise ValueError(f"{response.status_code}: {response.text}")
    return base64.b64decode(response.json()["predictions"][0]["b64"])


def mask_by_grpc(address, name, data):
    """The same by gRPC."""
    import grpc

    with grpc.insecure_channel(address) as channel:
        predict = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict"
        )
        try:
            response = predict(_predict_request(name, data), timeout=60)
        except grpc.RpcError as error:
            raise ValueError(f"{error.code()}: {error.details()}") from error
    outputs = [dict(_fields(x)) for n, x in _fields(response) if n == 1]
    tensors = {output[1].decode(): output[2] for output in outputs}
    return dict(_fields(tensors["mask_bytes"]))[8]


def draw_overlay(data, mask):
    """The image, tinted where the mask is not 0, as a Pillow image."""
    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    inside = np.asarray(Image.open(io.BytesIO(mask)))[..., None] > 0
    tinted = np.where(inside, 0.6 * image + 0.4 * TINT, image)
    return Image.fromarray(tinted.astype("uint8"))


def _predict_request(name, data):
    """A PredictRequest of one string.

    In Protocol Buffers' wire format, since the generated classes of
    tensorflow-serving-api import TensorFlow.
    """
    spec = _field(1, name.encode()) + _field(3, SIGNATURE.encode())
    string, shape = b"\x08\x07", _field(2, b"\x08\x01")  # DT_STRING, [1]
    tensor = string + _field(2, shape) + _field(8, data)
    given = _field(1, b"image_bytes") + _field(2, tensor)
    return _field(1, spec) + _field(2, given)


def _field(number, content):
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size % 128 + 128]), size // 128
    return bytes([number * 8 + 2]) + length + bytes([size]) + content


def _fields(message):
    """Numbers and contents of a message's fields."""
    place = 0
    while place < len(message):
        tag, place = _number(message, place)
        content, place = _number(message, place)
        if tag % 8 == 2:  # Content with its length before it.
            content, place = message[place : place + content], place + content
        yield tag // 8, content


def _number(message, place):
    number, shift = 0, 0
    while True:
        number |= message[place] % 128 << shift
        place, shift = place + 1, shift + 7
        if message[place - 1] < 128:
            return number, place


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=pathlib.Path, help="PNG, JPEG or BMP")
    parser.add_argument("--name", default="unet_dca", help="of the model")
    parser.add_argument("--rest", default="http://127.0.0.1:8501")
    parser.add_argument("--grpc", help="such as 127.0.0.1:8500, not REST")
    given = parser.parse_args()
    data = given.image.read_bytes()
    if given.grpc:
        mask = mask_by_grpc(given.grpc, given.name, data)
    else:
        mask = mask_by_rest(given.rest, given.name, data)
    stem = given.image.with_suffix("")
    pathlib.Path(f"{stem}_mask.png").write_bytes(mask)
    draw_overlay(data, mask).save(f"{stem}_overlay.png")
    print(f"{stem}_mask.png, {stem}_overlay.png")
