"""The same files and the same answers on Keras's three backends."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from dca_keras import zoo
from tests.zoo import check_model as check

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
# What holds on any backend, run once more there in a process of its own.
SUITES = (
    "tests/layers",
    "tests/test_losses.py",
    "tests/test_metrics.py",
    "tests/test_reference.py",
)
READER = """
import sys, pathlib, keras, numpy as np
import dca_keras.layers
from dca_keras import zoo
folder = pathlib.Path(sys.argv[1])
x = np.load(folder / "x.npy")
for path in sorted(folder.glob("*.keras")):
    model = keras.saving.load_model(path)
    outputs = [model.predict(x, verbose=0)]
    weights = path.with_suffix(".weights.h5")
    for variable in model.variables:
        variable.assign(np.zeros(variable.shape))
    model.load_weights(weights)
    outputs.append(model.predict(x, verbose=0))
    np.save(path.with_suffix(".npy"), outputs)
"""

main_backend = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow"
    or not importlib.util.find_spec("jax")
    or not importlib.util.find_spec("torch"),
    reason="runs from TensorFlow, with JAX and PyTorch installed",
)
other_backend = pytest.mark.parametrize("backend", ["jax", "torch"])


def run(backend, *command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiles sooner
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


@pytest.mark.slow
@main_backend
@other_backend
@pytest.mark.parametrize(
    "names",
    [zoo.list_models()[:6], zoo.list_models()[6:]],
    ids=["paper", "more"],
)
def test_files_move_between_backends(backend, names, tmp_path):
    x = check.images()
    np.save(tmp_path / "x.npy", x)
    expected = {}
    for name in names:
        model = check.small(getattr(zoo, name), dca=True)
        model.save(tmp_path / f"{model.name}.keras")
        model.save_weights(tmp_path / f"{model.name}.weights.h5")
        expected[model.name] = check.predict(model, x)
    run(backend, "-c", READER, str(tmp_path))
    for name, ours in expected.items():
        for theirs in np.load(tmp_path / f"{name}.npy"):
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)


@pytest.mark.slow
@main_backend
@other_backend
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path[6:])
def test_suites_on_other_backends(suite, backend):
    # Whole models that train, and half precision, take minutes to compile;
    # the whole module has all that its attentions have.
    slow = "training_follows or compiled or half or attentions_compute"
    quick = ("-k", f"not ({slow})")
    run(backend, "-m", "pytest", "-q", "-x", "-n0", *quick, suite)


MIRRORED = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
from dca_keras import zoo
from dca_keras.losses import DiceLoss
from dca_keras.metrics import DiceScore
from tests.zoo import check_model as check

# Rounding grows fast in three steps of a batch-normed net; float64 leaves
# only what the strategy itself would change.
keras.config.set_floatx("float64")
half = check.images(batch=2)
x = np.concatenate([half, half]).astype("float64")
y = (x.mean(-1, keepdims=True) > 0.5).astype("int32")

def train(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = check.small(zoo.unet, dca=True)
        model.compile(
            keras.optimizers.SGD(0.05),
            DiceLoss(per_image=True),
            metrics=[DiceScore(per_image=True)],
        )
        model.optimizer.build(model.trainable_variables)
    # Rows 0, 1 | 0, 1: each replica's batch norm sees what one device's sees.
    data = tf.data.Dataset.from_tensors((x, y)).repeat(3)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    history = model.fit(data.with_options(options), verbose=0)
    score = model.evaluate(x, y, batch_size=4, verbose=0)
    return model.get_weights(), history.history["loss"], score

two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert two.num_replicas_in_sync == 2
one = train(tf.distribute.get_strategy())
both = train(two)
for a, b in zip(one, both):
    for u, v in zip(a, b):
        np.testing.assert_allclose(u, v, rtol=0, atol=1e-9)
"""


@pytest.mark.slow
@main_backend
def test_two_replicas_train_like_one_device():
    run("tensorflow", "-c", MIRRORED)
