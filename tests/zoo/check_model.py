"""The one routine that every architecture goes through."""

import keras
import numpy as np
from keras import layers, ops
from scipy.stats import kstest

from dca_keras.layers import Affine, SpatialCrossAttention
from dca_keras.losses import DiceLoss

# Small widths that four spatial heads divide, and wide enough for every
# squeeze-and-excitation to have a unit that is not dead from the start.
SMALL = {
    "resunet_plus_plus": {"filters": (64, 64, 64, 16, 8)},
    "double_unet": {
        "filters": (32, 32, 32, 64, 8),
        "encoder_filters": (4, 8, 8, 16, 16),
    },
    "trans_unet": {
        "width": 8,
        "units": (1, 1, 1),
        "hidden": 16,
        "depth": 2,
        "heads": 2,
        "mlp": 16,
        "decoder_filters": (16, 16, 8, 8, 8),
    },
    "swin_unet": {
        "width": 8,
        "depths": (2, 2, 2),
        "heads": (1, 2, 2),
        "window": 2,
    },
}
DEFAULT_SMALL = {"filters": (4, 8, 12, 16, 24)}


def small(builder, sides=(16, 32), channels=3, **options):
    """The architecture with few channels, so that tests are quick."""
    options = {**SMALL.get(builder.__name__, DEFAULT_SMALL), **options}
    return builder((*sides, channels), **options)


def images(sides=(16, 32), channels=3, batch=2):
    rng = np.random.default_rng(7)
    return rng.random((batch, *sides, channels), dtype=np.float32)


def predict(model, batch):
    return ops.convert_to_numpy(model(batch, training=False))


def check_shapes_and_head(builder, dca):
    """Probabilities for one class and for many; logits on request."""
    x = images(channels=1)
    model = small(builder, channels=1, num_classes=3, dca=dca)
    y = predict(model, x)
    assert y.shape == (2, 16, 32, 3)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-5)
    logits = small(builder, channels=1, num_classes=3, dca=dca, activation=None)
    logits.set_weights(model.get_weights())
    z = predict(logits, x)
    np.testing.assert_allclose(
        y, ops.convert_to_numpy(ops.softmax(z)), atol=1e-6
    )
    single = predict(small(builder, num_classes=1, dca=dca), images())
    assert single.shape == (2, 16, 32, 1)
    assert 0 < single.min() and single.max() < 1


def check_initial_values(builder, dca):
    """PyTorch's defaults: uniform in ±1/√fan_in, biases too."""
    kernels, biases = [], []
    for layer in small(builder, sides=(32, 32), dca=dca)._flatten_layers():
        if isinstance(layer, Affine):
            kernels.append(layer.scale)
            biases += [] if layer.bias is None else [layer.bias]
        elif hasattr(layer, "kernel"):
            # A transposed kernel is (sides…, out, in): so is its fan-in.
            bound = np.prod(layer.kernel.shape[:-1]) ** -0.5
            kernels.append(layer.kernel / bound)
            biases += [layer.bias / bound] if layer.use_bias else []
        elif isinstance(layer, layers.PReLU):
            assert (ops.convert_to_numpy(layer.alpha) == 0.25).all()
    for values in (kernels, biases):
        values = [ops.convert_to_numpy(v).ravel() for v in values]
        values = np.concatenate(values)
        assert len(values) > 100 and abs(values).max() <= 1 + 1e-6
        assert kstest(values, "uniform", (-1, 2)).pvalue > 1e-3


def check_any_size(builder, dca):
    """One set of weights: fixed sides, unknown sides, oblong images."""
    fixed = small(builder, sides=(96, 160), dca=dca)
    free = small(builder, sides=(None, None), dca=dca)
    assert free.output_shape == (None, None, None, 1)
    free.set_weights(fixed.get_weights())
    x = images((96, 160), batch=1)
    np.testing.assert_allclose(predict(free, x), predict(fixed, x), atol=1e-5)
    assert predict(free, images((48, 16))).shape == (2, 48, 16, 1)
    check_graph(free, x)


def check_volumes(builder, dca):
    """The 3-D model, also with unknown sides."""
    sides = (16, 16, 32)
    model = small(builder, sides, channels=2, num_classes=2, dca=dca)
    free = small(builder, (None,) * 3, channels=2, num_classes=2, dca=dca)
    free.set_weights(model.get_weights())
    x = images(sides, channels=2, batch=1)
    y = predict(model, x)
    assert y.shape == (1, *sides, 2)
    np.testing.assert_allclose(predict(free, x), y, atol=1e-5)
    check_graph(free, x)


def check_graph(model, x):
    """A TensorFlow graph whose sides are unknown until it runs."""
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    unknown = tf.TensorSpec((None,) * (x.ndim - 1) + (x.shape[-1],))
    graph = tf.function(model, input_signature=[unknown])
    np.testing.assert_allclose(graph(x), predict(model, x), atol=1e-6)


def check_channels_first(builder, dca):
    """Keras's global image format changes nothing: channels come last."""
    x = images()
    model = small(builder, dca=dca)
    keras.config.set_image_data_format("channels_first")
    try:
        other = small(builder, dca=dca)
        other.set_weights(model.get_weights())
        np.testing.assert_array_equal(predict(other, x), predict(model, x))
    finally:
        keras.config.set_image_data_format("channels_last")
    formats = {getattr(x, "data_format", None) for x in other._flatten_layers()}
    assert formats == {"channels_last", None}


def check_every_weight_learns(builder, dca, dimensions=2):
    """Each trainable weight gets a finite gradient that is not all zero.

    A bias right before a batch norm is cancelled by it in training, so it is
    asked for a gradient only.
    """
    import tensorflow as tf

    # From seed 0, no unit of one squeeze-and-excitation of DoubleU-Net is
    # active: none of its kernels gets a gradient.
    keras.utils.set_random_seed(1)
    sides = (32,) * dimensions
    model = small(builder, sides, dca=dca)
    rng = np.random.default_rng(3)
    target = (rng.random((2, *sides, 1)) > 0.5).astype("float32")
    with tf.GradientTape() as tape:
        loss = DiceLoss()(target, model(images(sides), training=True))
    gradients = tape.gradient(loss, [w.value for w in model.trainable_weights])
    silent = []
    for weight, gradient in zip(
        model.trainable_weights, gradients, strict=True
    ):
        assert gradient is not None, weight.path
        values = np.asarray(gradient)
        assert np.isfinite(values).all(), weight.path
        if not values.any() and not weight.path.endswith("bias"):
            silent.append(weight.path)
    assert not silent


def check_compiled_step(model, sides):
    """A training step compiled by XLA, Keras's default on a GPU."""
    model.compile("sgd", DiceLoss(), jit_compile=True)
    x = images(sides)
    mask = (x.mean(-1, keepdims=True) > 0.5).astype("int32")
    start = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    assert np.isfinite(model.train_on_batch(x, mask))
    after = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    moved = [(a != b).any() for a, b in zip(start, after, strict=True)]
    assert all(np.isfinite(a).all() for a in after)
    assert np.mean(moved) > 0.5


def attend_in_blocks(model, query_block=3):
    """Let the model's spatial attentions take their queries in blocks."""
    found = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, SpatialCrossAttention)
    ]
    assert found
    for layer in found:
        layer.query_block = query_block
    return model


def check_saving(builder, dca, folder):
    """Both formats give the same model back, to the last bit."""
    model = small(builder, dca=dca)
    x = images()
    expected = predict(model, x)
    model.save(folder / "model.keras")
    again = keras.saving.load_model(folder / "model.keras")
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    np.testing.assert_array_equal(predict(again, x), expected)
    model.save_weights(folder / "model.weights.h5")
    other = small(builder, dca=dca)
    other.load_weights(folder / "model.weights.h5")
    np.testing.assert_array_equal(predict(other, x), expected)


def check_mixed_precision(builder, dca, policy):
    """A training step keeps weights and outputs in float32."""
    before = keras.config.dtype_policy().name
    model = small(builder, dca=dca, dtype=policy)
    assert keras.config.dtype_policy().name == before
    inner = [
        layer.compute_dtype
        for layer in model.layers
        if layer.weights and layer.name != "head"
    ]
    assert set(inner) == {policy.removeprefix("mixed_")}
    # Eager, as a single step is not worth the tracing.
    model.compile(keras.optimizers.Adam(1e-3), DiceLoss(), run_eagerly=True)
    start = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    x = images()
    mask = (x.mean(-1, keepdims=True) > 0.5).astype("int32")
    loss = model.fit(x, mask, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    assert {w.dtype for w in model.weights} == {"float32"}
    y = predict(model, x)
    assert y.dtype == np.float32 and np.isfinite(y).all()
    assert any(
        (ops.convert_to_numpy(w) != s).any()
        for w, s in zip(model.trainable_weights, start, strict=True)
    )
