"""Attention over tokens split into heads, with its maps whole or in blocks."""

import keras
from keras import ops


def attend(queries, keys, values):
    """Softmax attention with the whole map of scores.

    Args:
        queries: `(batch, heads, queries, channels)`, scaled already.
        keys: `(batch, heads, keys, channels)`.
        values: `(batch, heads, keys, channels of a value)`.

    Returns:
        What is attended to, `(batch, heads, queries, channels of a value)`,
        and the scores, `(batch, heads, queries, keys)`.
    """
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2))
    scores = ops.softmax(scores)  # (batch, heads, queries, keys)
    return ops.matmul(scores, values), scores


def attend_in_blocks(queries, keys, values, block):
    """The same for `block` queries at a time, so that no map is ever whole.

    Every block sees all keys, so its softmax is complete. The way back
    computes each block's scores anew: memory grows with the tokens, not with
    their square.

    Args:
        queries, keys, values: As for `attend`.
        block: Most queries whose scores exist at one time.

    Returns:
        What is attended to; no scores.
    """

    @ops.custom_gradient
    def attended(queries, keys, values):
        blocks = _split(queries, block)
        first = ops.zeros_like(blocks[0, ..., : values.shape[-1]])

        def forward(_, queries):
            outputs, _ = attend(queries, keys, values)
            # TensorFlow runs the blocks in order only if each is carried on.
            return outputs, outputs

        _, outputs = ops.scan(forward, first, blocks)
        outputs = _join(outputs, ops.shape(queries)[2])

        def gradient(*args, upstream=None):
            (upstream,) = args if upstream is None else (upstream,)
            return _gradient(queries, keys, values, outputs, upstream, block)

        return outputs, gradient

    return attended(queries, keys, values)


def can_fuse(queries):
    """Whether the backend has one kernel for this attention.

    Only where its answer is the same and its memory small: on a GPU, for half
    precision and heads that the kernels take. Others would fall back to whole
    maps.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        on_gpu = queries.is_cuda
    elif backend == "jax":
        import jax

        on_gpu = jax.default_backend() == "gpu"
    else:
        return False
    dtype = keras.backend.standardize_dtype(queries.dtype)
    channels = queries.shape[-1]
    return (
        on_gpu
        and dtype in ("float16", "bfloat16")
        and channels % 8 == 0
        and channels <= 128
    )


def attend_fused(queries, keys, values):
    """The same as `attend` in the backend's own kernel; no scores."""
    width = values.shape[-1]
    # The kernels want values as wide as the keys.
    missing = queries.shape[-1] - width
    values = ops.pad(values, ((0, 0), (0, 0), (0, 0), (0, missing)))
    attended = ops.dot_product_attention(
        *(ops.swapaxes(part, 1, 2) for part in (queries, keys, values)),
        scale=1.0,
    )  # (batch, queries, heads, channels)
    return ops.swapaxes(attended, 1, 2)[..., :width]


def _gradient(queries, keys, values, outputs, upstream, block):
    """Of `attend_in_blocks` with respect to queries, keys and values."""
    dtype = keras.backend.standardize_dtype(queries.dtype)
    dtype = keras.backend.result_type(dtype, "float32")
    mean = ops.sum(outputs * upstream, axis=-1, keepdims=True)
    upstream, mean = _split(upstream, block), _split(mean, block)

    def backward(i, state):
        # Blocks of queries make way for their gradients, one by one: reading
        # from what the last step wrote keeps the steps in order.
        blocks, key_gradient, value_gradient = state
        query = ops.take(blocks, i, axis=0)
        above = ops.take(upstream, i, axis=0)
        _, scores = attend(query, keys, values)
        slopes = ops.matmul(above, ops.swapaxes(values, -1, -2))
        slopes = scores * (slopes - ops.take(mean, i, axis=0))
        key_gradient += _product(slopes, query, dtype)
        value_gradient += _product(scores, above, dtype)
        slopes = ops.matmul(slopes, keys)
        blocks = ops.slice_update(
            blocks, (i, 0, 0, 0, 0), ops.expand_dims(slopes, 0)
        )
        return blocks, key_gradient, value_gradient

    blocks = _split(queries, block)
    state = (
        blocks,
        ops.zeros_like(keys, dtype=dtype),
        ops.zeros_like(values, dtype=dtype),
    )
    # A zero that is known once the upstream is: TensorFlow would begin the
    # first step, and keep its scores, as soon as the queries are there.
    begin = 0 * ops.cast(mean[0, 0, 0, 0, 0] > 0, "int32")
    blocks, *gradients = ops.fori_loop(
        begin, ops.shape(blocks)[0], backward, state
    )
    return (
        _join(blocks, ops.shape(queries)[2]),
        *(ops.cast(gradient, queries.dtype) for gradient in gradients),
    )


def _product(scores, tokens, dtype):
    return ops.cast(ops.matmul(ops.swapaxes(scores, -1, -2), tokens), dtype)


def _split(tokens, block):
    """`(blocks, batch, heads, block, channels)`, the last filled with zeros."""
    batch, heads, count, channels = ops.shape(tokens)
    blocks = -(-count // block)
    tokens = ops.pad(
        tokens, ((0, 0), (0, 0), (0, blocks * block - count), (0, 0))
    )
    tokens = ops.reshape(tokens, (batch, heads, blocks, block, channels))
    return ops.transpose(tokens, (2, 0, 1, 3, 4))


def _join(blocks, count):
    """What `_split` was given, from its blocks."""
    number, batch, heads, block, channels = ops.shape(blocks)
    tokens = ops.transpose(blocks, (1, 2, 0, 3, 4))
    tokens = ops.reshape(tokens, (batch, heads, number * block, channels))
    return tokens[:, :, :count]
