"""The fast path against the equations as `call` writes them."""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from dca_keras.layers import (
    AlignedUpsampling,
    ChannelCrossAttention,
    DualCrossAttention,
    SkipReconstruction,
    SpatialCrossAttention,
)
from dca_keras.layers._fast import spatial

BACKEND = keras.backend.backend()
WIDTHS, TOKENS = (8, 4, 12), 11
# Keras computes in float32 on JAX and, where it multiplies, on PyTorch.
FULL = ["float32", "float64"] if BACKEND == "tensorflow" else ["float32"]


@contextlib.contextmanager
def plain(layer):
    """Inside, the layer runs its equations as they are written."""
    parts = [p for p in layer._flatten_layers() if hasattr(p, "fast")]
    assert parts and all(part.fast for part in parts)
    for part in parts:
        part.fast = False
    yield
    for part in parts:
        part.fast = True


def gradients(layer, function, arrays, above):
    """Of `sum(function(arrays) * above)`: inputs' and weights'."""

    def loss(tokens):
        outputs = function(tokens)
        slopes = [ops.convert_to_tensor(array) for array in above]
        return sum(
            ops.sum(ops.cast(output, slope.dtype) * slope)
            for output, slope in zip(outputs, slopes, strict=True)
        )

    weights = layer.trainable_weights
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tokens = [tf.constant(array) for array in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tokens)
            value = loss(tokens)
        return tape.gradient(value, tokens + [w.value for w in weights])
    if BACKEND == "torch":
        import torch

        tokens = [torch.tensor(array, requires_grad=True) for array in arrays]
        sources = tokens + [w.value for w in weights]
        return torch.autograd.grad(loss(tokens), sources)
    import jax

    def of_values(tokens, values):
        mapping = list(zip(weights, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return loss(tokens)

    values = [w.value for w in weights]
    found = jax.grad(of_values, (0, 1))(list(arrays), values)
    return [*found[0], *found[1]]


def evaluate(layer, function, arrays, above):
    """Outputs, statistics and gradients of one step from the same start."""
    start = layer.get_weights()
    outputs = function(arrays)
    averages = [w.value for w in layer.non_trainable_weights]
    averages = [ops.convert_to_numpy(average) for average in averages]
    found = gradients(layer, function, arrays, above)
    layer.set_weights(start)
    arrays = [ops.cast(x, "float64") for x in (*outputs, *averages, *found)]
    return [ops.convert_to_numpy(array) for array in arrays]


def randomise(layer, rng):
    for weight in layer.weights:
        if weight.path.endswith("variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(rng.normal(0.4, 0.6, weight.shape))


def random_layer(make, dtype):
    """A layer with random weights, inputs, and slopes of its outputs."""
    rng = np.random.default_rng(4)
    layer = make(dtype=dtype)
    layer.build([(None, None, width) for width in WIDTHS])
    randomise(layer, rng)
    arrays, above = (
        [rng.standard_normal((2, TOKENS, w)).astype(dtype) for w in WIDTHS]
        for _ in range(2)
    )
    return layer, arrays, above


def assert_close(ours, expected, dtype):
    for a, b in zip(ours, expected, strict=True):
        a, b = ops.convert_to_numpy(a), ops.convert_to_numpy(b)
        bound = {"float32": 2e-5, "float64": 1e-12}[dtype]
        np.testing.assert_allclose(a, b, atol=bound * max(1, np.abs(b).max()))


ATTENTIONS = {
    "channel": lambda **how: ChannelCrossAttention(1, **how),
    "channel_heads": lambda **how: ChannelCrossAttention(4, **how),
    "channel_recomputed": lambda **how: ChannelCrossAttention(4, True, **how),
    "spatial": lambda **how: SpatialCrossAttention(4, **how),
    "blocks": lambda **how: SpatialCrossAttention(4, query_block=4, **how),
    "one_block": lambda **how: SpatialCrossAttention(1, query_block=16, **how),
    "spatial_recomputed": lambda **how: SpatialCrossAttention(
        4, recompute=True, **how
    ),
}


@pytest.mark.parametrize("dtype", FULL)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ATTENTIONS)
def test_attentions_compute_their_equations(name, training, dtype):
    layer, arrays, above = random_layer(ATTENTIONS[name], dtype)

    def function(tokens):
        return layer(tokens, training=training)

    ours = evaluate(layer, function, arrays, above)
    with plain(layer):
        expected = evaluate(layer, function, arrays, above)
    assert_close(ours, expected, dtype)


def module(sides, query_block, dtype):
    """The module on two skips, with random weights."""
    rng = np.random.default_rng(9)
    coarse = [side // 2 for side in sides]
    shapes = (2, *sides, 4), (2, *coarse, 8)
    layer = DualCrossAttention(
        (2, 1),
        channel_heads=2,
        token_activation=len(sides) == 3,
        query_block=query_block,
        recompute=query_block is None,
        dtype=dtype,
        name="dca",
    )
    layer.build(shapes)
    randomise(layer, rng)
    arrays, above = (
        [rng.standard_normal(shape).astype("float32") for shape in shapes]
        for _ in range(2)
    )
    return layer, arrays, above


@pytest.mark.parametrize("query_block", [None, 5])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("sides", [(8, 6), (4, 2, 6)])
def test_the_module_computes_its_equations(sides, training, query_block):
    layer, arrays, above = module(sides, query_block, "float32")

    def function(skips):
        return layer(skips, training=training)

    ours = evaluate(layer, function, arrays, above)
    with plain(layer):
        expected = evaluate(layer, function, arrays, above)
    assert_close(ours, expected, "float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("query_block", [None, 5])
@pytest.mark.parametrize("training", [False, True])
def test_half_precision_stays_near_the_equations(policy, query_block, training):
    layer, arrays, above = module((8, 6), query_block, policy)
    exact, _, _ = module((8, 6), query_block, "float32")

    def function(layer):
        return lambda skips: layer(skips, training=training)

    ours = evaluate(layer, function(layer), arrays, above)
    with plain(layer), plain(exact):
        halves = evaluate(layer, function(layer), arrays, above)
        expected = evaluate(exact, function(exact), arrays, above)

    def error(found):
        return np.linalg.norm(found - expected) / np.linalg.norm(expected)

    ours, halves, expected = (
        np.concatenate([array.ravel() for array in arrays])
        for arrays in (ours, halves, expected)
    )
    assert error(ours) < 4 * error(halves) < 0.4


@pytest.mark.parametrize("name", ["channel_heads", "spatial", "blocks"])
def test_scores_are_those_of_the_equations(name):
    layer, arrays, _ = random_layer(ATTENTIONS[name], "float32")
    outputs, scores = layer(arrays, return_attention_scores=True)
    assert_close(outputs, layer(arrays), "float32")
    with plain(layer):
        for ours, other in zip(outputs, layer(arrays), strict=True):
            np.testing.assert_array_equal(
                *map(ops.convert_to_numpy, (ours, other))
            )
    for array, width in zip(scores, WIDTHS, strict=True):
        shape = (TOKENS, TOKENS)
        if name == "channel_heads":
            shape = (width // 4, sum(WIDTHS) // 4)
        assert tuple(array.shape) == (2, 4, *shape)
        rows = ops.convert_to_numpy(ops.sum(array, axis=-1))
        np.testing.assert_allclose(rows, 1, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_many_tokens_are_attended_in_blocks(monkeypatch, training):
    layer, arrays, _ = random_layer(ATTENTIONS["spatial"], "float32")
    expected = layer(arrays, training=training)
    most = "WHOLE_IN_TRAINING" if training else "WHOLE_AT_INFERENCE"
    monkeypatch.setattr(spatial, most, TOKENS - 1)
    monkeypatch.setattr(spatial, "QUERIES", 3)
    used = []
    blocked = spatial.attend_in_blocks

    def watched(*args):
        used.append(args[4])
        return blocked(*args)

    monkeypatch.setattr(spatial, "attend_in_blocks", watched)
    assert_close(layer(arrays, training=training), expected, "float32")
    assert used == [3] * len(WIDTHS)
    if training:  # which says nothing of whole maps at inference
        layer(arrays, training=False)
        assert used == [3] * len(WIDTHS)


def dual(query_block, sides=(12, 8)):
    """A two-stage model of one attention; `sides` are the finer skip's."""
    inputs = [
        keras.Input((*sides, 4)),
        keras.Input((*(side and side // 2 for side in sides), 8)),
    ]
    layer = DualCrossAttention((2, 1), query_block=query_block, name="dca")
    return keras.Model(inputs, layer(inputs))


def skips(batch=2):
    rng = np.random.default_rng(6)
    shapes = (batch, 12, 8, 4), (batch, 6, 4, 8)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def test_blocks_of_unknown_sides_and_back_from_a_file(tmp_path):
    whole, blocks = dual(None), dual(5, (None, None))
    blocks.set_weights(whole.get_weights())
    blocks.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_layer("dca").query_block == 5
    expected = whole.predict(skips(), verbose=0)
    for model in (blocks, again):
        assert_close(model.predict(skips(), verbose=0), expected, "float32")


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="its loops are compiled in two ways"
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_blocks_train_like_whole_maps_compiled(jit_compile):
    start, after = dual(None).get_weights(), []
    for query_block in (None, 5):
        model = dual(query_block)
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        targets = [np.ones_like(skip) for skip in skips()]
        model.fit(skips(), targets, batch_size=2, epochs=2, verbose=0)
        after.append(model.get_weights())
    assert_close(*after, "float32")
    moved = [np.abs(a - b).max() for a, b in zip(start, after[0], strict=True)]
    assert max(moved) > 1e-3


@pytest.mark.parametrize("dtype", FULL)
@pytest.mark.parametrize("sides", [(8, 6), (4, 4, 6)])
def test_reconstruction_trains_like_its_equations(sides, dtype):
    tokens_shape = (2, np.prod(sides) // 2 ** len(sides), 5)
    skip_shape = (2, *sides, 5)
    rng = np.random.default_rng(7)
    layer = SkipReconstruction(2, dtype=dtype)
    layer.build(tokens_shape, skip_shape)
    randomise(layer, rng)
    arrays = [
        rng.normal(0.7, 1, shape).astype(dtype)
        for shape in (tokens_shape, skip_shape)
    ]
    above = [rng.standard_normal(skip_shape).astype(dtype)]

    def function(arrays):
        return [layer(*arrays, training=True)]

    ours = evaluate(layer, function, arrays, above)
    with plain(layer):
        expected = evaluate(layer, function, arrays, above)
    assert_close(ours, expected, dtype)


def test_upsampling_knows_its_gradient():
    rng = np.random.default_rng(8)
    layer = AlignedUpsampling(3)
    inputs, slopes = (
        rng.standard_normal(shape).astype("float32")
        for shape in ((2, 3, 4, 2, 5), (2, 9, 12, 6, 5))
    )
    expected = np.sum(ops.convert_to_numpy(layer(inputs)) * slopes)
    back = layer.input_gradient(ops.convert_to_tensor(slopes))
    found = np.sum(ops.convert_to_numpy(back) * inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_recomputing_is_an_option_of_the_whole_layer(tmp_path):
    models = []
    for recompute in (False, True):
        inputs = [keras.Input((12, 8, 4)), keras.Input((6, 4, 8))]
        layer = DualCrossAttention((2, 1), recompute=recompute, name="dca")
        models.append(keras.Model(inputs, layer(inputs)))
    kept, recomputed = models
    recomputed.set_weights(kept.get_weights())
    after = []
    for model in (kept, recomputed):
        model.compile(keras.optimizers.SGD(0.1), "mse")
        targets = [np.ones_like(skip) for skip in skips()]
        model.fit(skips(), targets, batch_size=2, epochs=2, verbose=0)
        after.append(model.get_weights())
    assert_close(*after, "float32")
    recomputed.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").get_layer("dca")
    assert again.recompute
    assert all(attention.recompute for attention in again.attentions)
