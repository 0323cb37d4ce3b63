"""Models as training leaves them, and how far what is exported is from them.

    python -m tests.export.exports [MODEL DCA [EPOCHS]]

trains all twelve models at full width for a moment, writes every format,
serves the SavedModels, and prints the largest differences from
`model.predict`, at 224x224 and at another size (nan where the format has one
size only); and how far `model.predict` itself, in float32, is from the same in
float64. It takes about half an hour on two cores.
"""

import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402

from dca_keras import export  # noqa: E402
from dca_keras.data.synthetic import draw_tissue  # noqa: E402
from dca_keras.losses import DiceLoss  # noqa: E402
from dca_keras.zoo import create_model, list_models  # noqa: E402

# LiteRT's converter loses the channels of ResUnet++ where sides are unknown.
ONE_SIZE = {("resunet_plus_plus", "litert")}
NARROW = {"filters": (4, 8, 8, 16, 16)}
# For architectures whose widths have other names.
NARROW_OTHERS = {
    "double_unet": NARROW | {"encoder_filters": (4, 8, 8, 8, 8)},
    "trans_unet": {
        "width": 4,
        "units": (1, 1, 1),
        "hidden": 8,
        "depth": 1,
        "heads": 2,
        "mlp": 8,
        "decoder_filters": (8, 8, 8, 4, 4),
    },
    "swin_unet": {
        "width": 4,
        "depths": (2, 2, 2),
        "heads": (1, 2, 2),
        "window": 2,
    },
}


def narrow_model(name, dca, shape=(32, 48, 3), **options):
    """A small model of an architecture, used."""
    widths = NARROW_OTHERS.get(name, NARROW)
    model = create_model(name, input_shape=shape, dca=dca, **widths, **options)
    return use(model)


def use(model):
    """Gives norms the statistics and weights of a model that was trained.

    The statistics are nearly those of drawn images, so that no activation
    dies; exactly those would make the smallest rounding large.
    """
    rng = np.random.default_rng(0)
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for norm in norms:
        norm.momentum = 0.05
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
        norm.beta.assign(rng.normal(0, 0.3, norm.beta.shape))
    *sides, channels = model.input_shape[1:]
    sides = [side or 32 for side in sides]
    model(draw(2, sides, channels), training=True)
    for norm in norms:
        norm.momentum = 0.9
    return model


def draw(count, sides, channels):
    """Drawn tissue, `(count, *sides, channels)`; noise in 3-D."""
    if len(sides) != 2 or channels not in (1, 3):
        rng = np.random.default_rng(0)
        return rng.random((count, *sides, channels), "float32")
    height, width = sides
    images = [
        draw_tissue((7, i), max(32, *sides), channels=channels)[0]
        for i in range(count)
    ]
    return np.stack([image[:height, :width] for image in images])


def difference(one, other):
    """The largest between two arrays of probabilities of one shape."""
    assert one.shape == other.shape
    return float(np.abs(one - other).max())


def _served(path, name, batches):
    """Answers of a served SavedModel, by REST and by gRPC."""
    import grpc
    import requests
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from tests.export.serving import start_process

    with tempfile.TemporaryFile() as log:
        process, rest, rpc = start_process(path, name, log)
    try:
        url = f"http://127.0.0.1:{rest}/v1/models/{name}:predict"
        for images in batches:
            payload = {"instances": images.tolist()}
            answer = requests.post(url, json=payload, timeout=300).json()
            yield np.array(answer["predictions"], "float32")
        size = [("grpc.max_receive_message_length", 2**28)]
        with grpc.insecure_channel(f"127.0.0.1:{rpc}", size) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for images in batches:
                request = predict_pb2.PredictRequest()
                request.inputs["images"].CopyFrom(tf.make_tensor_proto(images))
                answer = stub.Predict(request, timeout=300)
                yield tf.make_ndarray(answer.outputs["probabilities"])
    finally:
        process.terminate()
        process.wait()


def _train(name, dca, epochs):
    """A model for any size after four steps an epoch.

    With random weights these networks amplify rounding far more.
    """
    model = create_model(name, input_shape=(None, None, 3), dca=dca)
    drawn = [draw_tissue((8, i), 64) for i in range(16)]
    images, masks = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    model.compile(keras.optimizers.Adam(1e-3), DiceLoss())
    model.fit(images, masks, batch_size=4, epochs=epochs, verbose=0)
    return model


def _check(name, dca, folder, epochs=6):
    """Prints a line a format, with the differences at the two sizes."""
    free = _train(name, dca, epochs)
    model, exact = (
        create_model(name, input_shape=shape, dca=dca, dtype=dtype)
        for shape, dtype in (
            ((224, 224, 3), "float32"),
            ((None, None, 3), "float64"),
        )
    )
    for copy in (model, exact):
        copy.set_weights(free.get_weights())
    batches = [draw(1, (224, 224), 3), draw(1, (160, 256), 3)]
    expected = [free.predict_on_batch(images) for images in batches]
    report = "{:<18} {:<5} {:<12} {:>9.1e} {:>9.1e}".format

    def compare(kind, answers):
        found = [*map(difference, expected, answers), float("nan")]
        print(report(name, str(dca), kind, *found), flush=True)

    compare("float64", map(exact.predict_on_batch, batches))
    done = export.saved_model(model, folder / name, any_size=True)
    loaded = export.load_saved_model(done.path)
    compare("saved_model", map(loaded.predict_on_batch, batches))
    answers = list(_served(done.path, name, batches))
    compare("REST", answers[:2])
    compare("gRPC", answers[2:])
    for kind, load, options in (
        ("onnx", export.load_onnx, {}),
        ("openvino", export.load_openvino, {}),
        ("litert", export.load_litert, {}),
        ("litert", export.load_litert, {"int8": True}),
    ):
        write = getattr(export, kind)
        free = (name, kind) not in ONE_SIZE
        done = write(model, folder / kind, any_size=free, **options)
        kind += "_int8" * bool(options)
        compare(kind, map(load(done.path), batches if free else batches[:1]))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        name, dca, *epochs = sys.argv[1:]
        keras.utils.set_random_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            _check(name, dca == "True", folder, *map(int, epochs))
    else:  # Each in a process of its own, which gives its memory back.
        for pair in itertools.product(list_models(), ("False", "True")):
            command = [sys.executable, "-m", "tests.export.exports", *pair]
            subprocess.run(command, check=True)
