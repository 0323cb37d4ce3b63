"""The folded attentions against their equations, whole and in blocks."""

import math
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from dca_keras.layers import (
    ChannelCrossAttention,
    DualCrossAttention,
    SpatialCrossAttention,
    attention,
    spatial_cross_attention,
)

BACKEND = keras.backend.backend()
WIDTHS, TOKENS = (8, 4, 12), 11


def plain(layer, tokens):
    """The layer's equations step by step, one affine after the other."""
    tokens = [ops.convert_to_tensor(stage) for stage in tokens]
    normed = [
        norm(stage) for norm, stage in zip(layer.norms, tokens, strict=True)
    ]
    joint = ops.concatenate(normed, axis=-1)
    outputs = []
    for i, (stage, own) in enumerate(zip(tokens, normed, strict=True)):
        query, key, value = (
            ops.split(affines[i](source), layer.heads, axis=-1)
            for affines, source in zip(
                (layer.queries, layer.keys, layer.values),
                [joint if role in layer.joint else own for role in ROLES],
                strict=True,
            )
        )
        heads = zip(query, key, value, strict=True)
        attended = ops.concatenate([by_kind(layer, *h) for h in heads], -1)
        outputs.append(stage + layer.projections[i](attended))
    return outputs


ROLES = ("query", "key", "value")


def by_kind(layer, query, key, value):
    if isinstance(layer, ChannelCrossAttention):
        scores = ops.einsum("bnq,bnk->bqk", query, key)
        scores = ops.softmax(scores / math.sqrt(sum(WIDTHS)))
        return ops.einsum("bqk,bnk->bnq", scores, value)
    scores = ops.einsum("bqc,bkc->bqk", query, key)
    scores = ops.softmax(scores / math.sqrt(sum(WIDTHS) / layer.heads))
    return ops.einsum("bqk,bkc->bqc", scores, value)


def gradients(layer, function, arrays, above):
    """Of `sum(function(arrays) * above)`: inputs' and weights'."""

    def loss(tokens):
        outputs = function(tokens)
        slopes = [ops.convert_to_tensor(array) for array in above]
        pairs = zip(outputs, slopes, strict=True)
        return sum(ops.sum(output * slope) for output, slope in pairs)

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


def random_layer(make, dtype):
    """A layer with random weights, inputs, and slopes of its outputs."""
    rng = np.random.default_rng(4)
    layer = make(dtype=dtype)
    layer.build([(None, None, width) for width in WIDTHS])
    for weight in layer.weights:
        weight.assign(rng.normal(0.4, 0.6, weight.shape))
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
    "spatial": lambda **how: SpatialCrossAttention(4, **how),
    "blocks": lambda **how: SpatialCrossAttention(4, query_block=4, **how),
    "one_block": lambda **how: SpatialCrossAttention(1, query_block=16, **how),
}


# Keras computes in float32 on JAX and, where it multiplies, on PyTorch.
@pytest.mark.parametrize(
    "dtype", ["float32", "float64"] if BACKEND == "tensorflow" else ["float32"]
)
@pytest.mark.parametrize("name", ATTENTIONS)
def test_folding_changes_neither_values_nor_gradients(name, dtype):
    layer, arrays, above = random_layer(ATTENTIONS[name], dtype)

    def literally(tokens):
        return plain(layer, tokens)

    assert_close(layer(arrays), literally(arrays), dtype)
    ours, expected = (
        gradients(layer, function, arrays, above)
        for function in (layer, literally)
    )
    assert_close(ours, expected, dtype)


@pytest.mark.parametrize("name", ["spatial", "blocks"])
def test_scores_are_the_softmax_of_the_equations(name):
    layer, arrays, _ = random_layer(ATTENTIONS[name], "float32")
    outputs, scores = layer(arrays, return_attention_scores=True)
    assert_close(outputs, layer(arrays), "float32")
    for array in scores:
        assert tuple(array.shape) == (2, 4, TOKENS, TOKENS)
        rows = ops.convert_to_numpy(ops.sum(array, axis=-1))
        np.testing.assert_allclose(rows, 1, rtol=1e-5)


def test_the_backends_own_kernel_gives_the_same():
    rng = np.random.default_rng(5)
    shapes = (2, 4, TOKENS, 8), (2, 4, TOKENS, 8), (2, 4, TOKENS, 3)
    arrays = [rng.standard_normal(s).astype("float32") for s in shapes]
    arrays = [ops.convert_to_tensor(array) for array in arrays]
    expected, _ = attention.attend(*arrays)
    assert_close([attention.attend_fused(*arrays)], [expected], "float32")


@pytest.mark.parametrize("training", [False, True])
def test_many_tokens_are_attended_in_blocks(monkeypatch, training):
    layer, arrays, _ = random_layer(ATTENTIONS["spatial"], "float32")
    expected = layer(arrays, training=training)
    limits = {False: "WHOLE_IN_INFERENCE", True: "WHOLE_IN_TRAINING"}
    monkeypatch.setattr(spatial_cross_attention, limits[training], TOKENS - 1)
    monkeypatch.setattr(spatial_cross_attention, "BLOCK_SCORES", 1)
    monkeypatch.setattr(spatial_cross_attention, "LEAST_QUERIES", 3)
    used = []
    blocked = spatial_cross_attention.attend_in_blocks

    def watched(*args):
        used.append(args[-1])
        return blocked(*args)

    monkeypatch.setattr(spatial_cross_attention, "attend_in_blocks", watched)
    assert_close(layer(arrays, training=training), expected, "float32")
    assert used == [3] * len(WIDTHS)
    layer(arrays, training=not training)
    assert used == [3] * len(WIDTHS)


@pytest.mark.parametrize("query_block", [0, -1, 2.0, True, "auto"])
def test_bad_query_block(query_block):
    for make in (
        lambda: SpatialCrossAttention(4, query_block=query_block),
        lambda: DualCrossAttention(query_block=query_block),
    ):
        with pytest.raises(ValueError, match="`query_block` must be"):
            make()


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


PEAK = """
import resource, sys
import tensorflow as tf
from dca_keras.layers import SpatialCrossAttention
TOKENS = 8192
layer = SpatialCrossAttention(1, query_block=256)
shapes = (1, TOKENS, 4), (1, TOKENS, 4)
layer.build(shapes)

@tf.function
def step(tokens):
    with tf.GradientTape() as tape:
        outputs = layer(tokens, training=True)
        loss = sum(tf.reduce_sum(output**2) for output in outputs)
    return tape.gradient(loss, [w.value for w in layer.trainable_weights])

def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

run = step.get_concrete_function([tf.TensorSpec(s) for s in shapes])
tokens = [tf.random.normal(shape) for shape in shapes]
before = peak()
run(*tokens)
print(peak() - before, 4 * TOKENS**2)
"""


@pytest.mark.skipif(
    BACKEND != "tensorflow" or sys.platform == "win32",
    reason="once is enough, on TensorFlow",
)
def test_a_step_in_blocks_holds_no_whole_map():
    done = subprocess.run(
        [sys.executable, "-c", PEAK], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-5000:]
    grown, one_map = map(int, done.stdout.split())
    assert grown < one_map


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's loops")
def test_the_way_back_waits_for_the_gradient():
    import tensorflow as tf

    @tf.function
    def step(*arrays):
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            attended = attention.attend_in_blocks(*arrays, 3)
            loss = tf.reduce_sum(attended**2)
        return tape.gradient(loss, arrays)

    array = tf.TensorSpec((1, 2, TOKENS, 8))
    graph = step.get_concrete_function(array, array, array).graph
    loops = [op for op in graph.get_operations() if "While" in op.type]
    counters = [x.op.type for x in loops[-1].inputs if x.dtype == tf.int32]
    assert len(loops) == 2
    # A loop whose counters are all constants begins during the way forth.
    assert set(counters) != {"Const"}
