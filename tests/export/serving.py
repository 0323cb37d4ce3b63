"""What stands in for TensorFlow Serving: its REST and gRPC forms on loopback.

TensorFlow Serving's own program is not to be had from a package index. Here
KServe's model server answers its REST form and a small gRPC service its
PredictionService, both with the SavedModel's signatures and none of our code:

    python -m tests.export.serving SAVED_MODEL NAME --http_port 8501 \\
        --rpc_port 8500
"""

import argparse
import base64
import concurrent.futures
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Refused(Exception):
    """A request that the model does not answer, and why."""


class Signatures:
    """A SavedModel's signatures, as functions of arrays."""

    def __init__(self, path):
        import tensorflow as tf

        self._tf = tf
        self._loaded = tf.saved_model.load(str(path))

    def input_of(self, signature):
        """Name and `tf.TensorSpec` of a signature's only input."""
        if signature not in self._loaded.signatures:
            raise Refused(f"There is no signature {signature!r}.")
        function = self._loaded.signatures[signature]
        ((name, spec),) = function.structured_input_signature[1].items()
        return name, spec

    def run(self, signature, value):
        """A signature's outputs, by name; `value` goes in unchecked."""
        tf, function = self._tf, self._loaded.signatures[signature]
        # As in a server, no Python looks at the shape.
        outputs = sorted(function.structured_outputs.items())
        try:
            results = tf.raw_ops.StatefulPartitionedCall(
                args=[tf.constant(value), *function.captured_inputs],
                Tout=[spec.dtype for _, spec in outputs],
                f=function._inference_function.name,
            )
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise Refused(str(error)) from error
        return {
            name: result.numpy()
            for (name, _), result in zip(outputs, results, strict=True)
        }


def answer_rest(signatures, payload):
    """TensorFlow Serving's row form: instances to predictions."""
    if not isinstance(payload, dict) or "instances" not in payload:
        raise Refused("The request has no `instances`.")
    signature = payload.get("signature_name", "serving_default")
    name, spec = signatures.input_of(signature)
    rows = [
        row[name] if isinstance(row, dict) and name in row else row
        for row in payload["instances"]
    ]
    try:
        if spec.dtype == "string":
            value = [
                base64.b64decode(row["b64"], validate=True) for row in rows
            ]
        else:
            value = np.array(rows, "float32")
    except (TypeError, ValueError, KeyError) as error:
        raise Refused(f"`instances` are not {spec}: {error!r}") from error
    outputs = {
        key: _rows(key, array)
        for key, array in signatures.run(signature, value).items()
    }
    if len(outputs) == 1:
        (predictions,) = outputs.values()
    else:
        predictions = [
            dict(zip(outputs, row, strict=True))
            for row in zip(*outputs.values(), strict=True)
        ]
    return {"predictions": predictions}


def _rows(name, array):
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(row).decode()} for row in array]
    return array.tolist()


def start_grpc(signatures, port=0):
    """Starts a PredictionService; returns the server and its port."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            signature = request.model_spec.signature_name or "serving_default"
            try:
                name, _ = signatures.input_of(signature)
                if name not in request.inputs:
                    raise Refused(f"The input {name!r} is missing.")
                value = tf.make_ndarray(request.inputs[name])
                outputs = signatures.run(signature, value)
            except (Refused, ValueError) as error:
                code = grpc.StatusCode.INVALID_ARGUMENT
                context.abort(code, str(error)[-1000:])
            response = predict_pb2.PredictResponse()
            for key, array in outputs.items():
                response.outputs[key].CopyFrom(tf.make_tensor_proto(array))
            return response

    size = 2**28
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(4),
        options=[
            ("grpc.max_receive_message_length", size),
            ("grpc.max_send_message_length", size),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(), server
    )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port


def serve(path, name, http_port, rpc_port):
    """Serves until stopped, REST by KServe's model server."""
    import kserve

    signatures = Signatures(path)

    class Served(kserve.Model):
        def load(self):
            self.ready = True
            return self.ready

        def predict(self, payload, headers=None, response_headers=None):
            try:
                return answer_rest(signatures, payload)
            except Refused as error:
                raise kserve.errors.InvalidInput(str(error)[-1000:]) from error

    model = Served(name)
    model.load()
    server, _ = start_grpc(signatures, rpc_port)
    kserve.ModelServer(http_port=http_port, enable_grpc=False).start([model])
    server.stop(None)


def start_process(path, name, log):
    """Starts `serve` in a process of its own and waits until it answers.

    Returns the process, and the ports of REST and gRPC.
    """
    import requests

    ports = [_free_port() for _ in range(2)]
    command = [sys.executable, "-m", "tests.export.serving", str(path), name]
    command += ["--http_port", str(ports[0]), "--rpc_port", str(ports[1])]
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{ports[0]}/v1/models/{name}"
    for _ in range(600):
        try:
            if requests.get(url, timeout=5).ok:
                return process, *ports
        except requests.ConnectionError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.2)
    process.kill()
    raise RuntimeError(f"The server did not start; see {log.name}.")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("name")
    parser.add_argument("--http_port", type=int, default=8501)
    parser.add_argument("--rpc_port", type=int, default=8500)
    given = parser.parse_args()
    serve(given.path, given.name, given.http_port, given.rpc_port)
