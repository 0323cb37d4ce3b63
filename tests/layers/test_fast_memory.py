"""What the fast path keeps, and what it recomputes, on TensorFlow."""

import subprocess
import sys

import keras
import pytest

from dca_keras.layers import SkipReconstruction
from dca_keras.layers._fast import attention

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's graphs"
)
TOKENS = 11

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
    sys.platform == "win32", reason="Windows does not count the peak"
)
def test_a_step_in_blocks_holds_no_whole_map():
    done = subprocess.run(
        [sys.executable, "-c", PEAK], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-5000:]
    grown, one_map = map(int, done.stdout.split())
    assert grown < one_map


def backward(function, shapes):
    """The graph of a function's gradient, given the upstream one."""
    import tensorflow as tf

    @tf.function
    def back(upstream, *arrays):
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            outputs = function(*arrays)
        return tape.gradient(outputs, arrays, output_gradients=upstream)

    specs = [tf.TensorSpec(shape) for shape in shapes]
    return back.get_concrete_function(*specs).graph


def waits(op, graph):
    """Whether an operation needs the upstream, the graph's first input."""
    seen, ahead = set(), [op]
    while ahead:
        op = ahead.pop()
        if op not in seen:
            seen.add(op)
            ahead += [x.op for x in op.inputs] + list(op.control_inputs)
    return graph.inputs[0].op in seen


SHAPES = (1, 2, 8, TOKENS), (1, 2, 8, TOKENS), (2, 8, 1), (2, 8, 1)


@pytest.mark.parametrize("keep", [False, True])
def test_whole_scores_are_kept_or_recomputed(keep):
    def attended(values, tokens, scale, bias):
        return attention.attend_in_blocks(
            tokens, scale, bias, values, keep=keep
        )

    graph = backward(attended, [SHAPES[0], *SHAPES])
    maps = [op for op in graph.get_operations() if op.type == "Softmax"]
    # Scores that do not wait for the upstream would be there, and stay, from
    # the forward pass on.
    assert [waits(op, graph) for op in maps] == [False] + [True] * (not keep)


def test_the_backward_pass_in_blocks_waits_for_the_gradient():
    import tensorflow as tf

    def attended(values, tokens, scale, bias):
        return attention.attend_in_blocks(tokens, scale, bias, values, 3)

    graph = backward(attended, [SHAPES[0], *SHAPES])
    loops = [op for op in graph.get_operations() if "While" in op.type]
    counters = [x.op for x in loops[-1].inputs if x.dtype == tf.int32]
    assert len(loops) == 2
    # A loop whose counters do not wait begins in the forward pass.
    assert any(waits(op, graph) for op in counters)


def test_a_reconstruction_is_recomputed_in_the_backward_pass():
    layer = SkipReconstruction(2)
    layer.build((None, 6, 4), (None, 4, 6, 4))
    graph = backward(
        lambda tokens, skip: layer(tokens, skip, training=True),
        [(1, 4, 6, 4), (1, 6, 4), (1, 4, 6, 4)],
    )
    sums = [
        op
        for op in graph.get_operations()
        if op.type.startswith("Add")
        and graph.inputs[2].op in {x.op for x in op.inputs}
    ]
    assert [waits(op, graph) for op in sums] == [False, False, True]
