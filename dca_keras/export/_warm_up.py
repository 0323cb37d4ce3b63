"""Warm-up requests, which TensorFlow Serving runs when it loads a model."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

# Where TensorFlow Serving reads them in a SavedModel.
WARM_UP = "assets.extra/tf_serving_warmup_requests"


def write_warm_up(folder, name, signatures, image):
    """Write one request for each signature.

    Args:
        folder: The SavedModel's folder.
        name: Name that the model is served by.
        signatures: A dictionary from the signatures' names to their arguments,
            a `tf.TensorSpec` each.
        image: An image, `(*sides, channels)`, floats in [0, 1].
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path = folder / WARM_UP
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, spec in signatures.items():
            data = image[None] if spec.dtype == tf.float32 else [_png(image)]
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(data))
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            file.write(log.SerializeToString())


def _png(image):
    pixels = np.uint8(np.round(image * 255))
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "PNG")
    return buffer.getvalue()
