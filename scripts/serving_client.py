"""Segments an image on a server: python scripts/serving_client.py cell.png

Sends the file to a server, such as TensorFlow Serving, that serves a model from
`dca-keras export`, and writes cell_mask.png and cell_overlay.png. Needs NumPy,
Pillow and requests, or with --grpc tensorflow-serving-api, which brings
TensorFlow; never this package.
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
    """Return the mask of an encoded image, as the bytes of a PNG, by REST."""
    import requests

    encoded = base64.b64encode(data).decode()
    request = {"signature_name": SIGNATURE, "instances": [{"b64": encoded}]}
    address = f"{url.rstrip('/')}/v1/models/{name}:predict"
    response = requests.post(address, json=request, timeout=60)
    if not response.ok:
        raise ValueError(f"{response.status_code}: {response.text}")
    return base64.b64decode(response.json()["predictions"][0]["b64"])


def mask_by_grpc(address, name, data):
    """Return the same by gRPC."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = SIGNATURE
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([data]))
    with grpc.insecure_channel(address) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            response = service.Predict(request, timeout=60)
        except grpc.RpcError as error:
            raise ValueError(f"{error.code()}: {error.details()}") from error
    return response.outputs["mask_bytes"].string_val[0]


def draw_overlay(data, mask):
    """Return the image, tinted where the mask is not 0, as a Pillow image."""
    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    inside = np.asarray(Image.open(io.BytesIO(mask)))[..., None] > 0
    tinted = np.where(inside, 0.6 * image + 0.4 * TINT, image)
    return Image.fromarray(tinted.astype("uint8"))


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
