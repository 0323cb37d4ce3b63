"""Attention of tokens to each other, with its maps whole or in blocks.

Tokens have their channels first here, `(batch, heads, channels, tokens)`:
every product is then of matrices as they lie in memory. Keys are the tokens
themselves, and queries an affine function of them.
"""

import keras
from keras import ops

from dca_keras.layers.affine import affine
from dca_keras.layers.own_gradient import own_gradient, zero_after


def attend(tokens, scale, bias, values):
    """Softmax attention with the whole map of scores.

    Args:
        tokens: `(batch, heads, channels, tokens)`, the keys.
        scale, bias: `(heads, channels, 1)`; `tokens * scale + bias` are the
            queries, so that the scale holds the attention's own, too.
        values: `(batch, heads, channels of a value, tokens)`.

    Returns:
        What is attended to, `(batch, heads, channels of a value, tokens)`,
        and the scores, `(batch, heads, queries, keys)`.
    """
    scores = _scores(affine(tokens, scale, bias), tokens)
    return _weigh(values, scores), scores


def attend_in_blocks(tokens, scale, bias, values, block=None, keep=False):
    """The same, with a way back that is quicker and can do with less memory.

    A block of queries sees all keys, so its softmax is complete. With blocks
    no map is ever whole: memory grows with the tokens, not with their square.

    Args:
        tokens, scale, bias, values: As for `attend`.
        block: Most queries whose scores exist at one time; `None` is all.
        keep: Whether the scores are kept until the way back, which makes them
            anew otherwise. Those of blocks never are.

    Returns:
        What is attended to; no scores.
    """

    @own_gradient
    def attended(tokens, scale, bias, values):
        scores = None
        if block is None:
            outputs, scores = attend(tokens, scale, bias, values)
        else:
            outputs = _by_blocks(tokens, scale, bias, values, block)
        kept = scores if keep else None

        def gradient(upstream):
            return _gradient(
                tokens, scale, bias, values, outputs, upstream, block, kept
            )

        return outputs, gradient

    return attended(tokens, scale, bias, values)


def can_fuse(tokens):
    """Whether the backend has one kernel for this attention.

    Only where its answer is the same and its memory small: on a GPU, for half
    precision and heads that the kernels take. Others would fall back to whole
    maps.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        on_gpu = tokens.is_cuda
    elif backend == "jax":
        import jax

        on_gpu = jax.default_backend() == "gpu"
    else:
        return False
    dtype = keras.backend.standardize_dtype(tokens.dtype)
    channels = tokens.shape[-2]
    return (
        on_gpu
        and dtype in ("float16", "bfloat16")
        and channels % 8 == 0
        and channels <= 128
    )


def attend_fused(tokens, scale, bias, values):
    """The same as `attend` in the backend's own kernel; no scores."""
    width = values.shape[-2]
    # The kernels want values as wide as the keys.
    missing = tokens.shape[-2] - width
    values = ops.pad(values, ((0, 0), (0, 0), (0, missing), (0, 0)))
    queries = affine(tokens, scale, bias)
    attended = ops.dot_product_attention(
        *(ops.transpose(x, (0, 3, 1, 2)) for x in (queries, tokens, values)),
        scale=1.0,
    )  # (batch, queries, heads, channels)
    return ops.transpose(attended, (0, 2, 3, 1))[:, :, :width]


def _scores(queries, keys):
    """`(batch, heads, queries, keys)`, every row's sum is one."""
    return ops.softmax(ops.matmul(ops.swapaxes(queries, -1, -2), keys))


def _weigh(values, scores):
    return ops.matmul(values, ops.swapaxes(scores, -1, -2))


def _by_blocks(tokens, scale, bias, values, block):
    blocks = _split(tokens, block)
    first = ops.zeros_like(blocks[0, :, :, : values.shape[-2]])

    def step(_, some):
        scores = _scores(affine(some, scale, bias), tokens)
        outputs = _weigh(values, scores)
        # TensorFlow runs the blocks in order only if each is carried on.
        return outputs, outputs

    _, outputs = ops.scan(step, first, blocks)
    return _join(outputs, ops.shape(tokens)[-1])


def _gradient(tokens, scale, bias, values, outputs, upstream, block, kept):
    """Of `attend_in_blocks` with respect to tokens, scale, bias and values."""
    # The softmax takes off a query's mean slope: one more channel, not one
    # more pass over the map.
    mean = ops.sum(outputs * upstream, axis=-2, keepdims=True)
    above = ops.concatenate([upstream, -mean], axis=-2)
    values = ops.concatenate([values, ops.ones_like(values[:, :, :1])], axis=-2)
    later = zero_after(mean)
    scale_later = scale + ops.cast(later, scale.dtype)

    def of_block(some, above):
        queries = affine(some, scale_later, bias)
        scores = _scores(queries, tokens) if kept is None else kept
        slopes = ops.matmul(ops.swapaxes(above, -1, -2), values) * scores
        of_queries = ops.matmul(tokens, ops.swapaxes(slopes, -1, -2))
        of_keys = ops.matmul(queries, slopes)
        return of_queries, of_keys, ops.matmul(above, scores)

    if block is None:
        found = of_block(tokens, above)
    else:
        found = _sum_over_blocks(of_block, tokens, values, above, block, later)
    of_queries, of_keys, of_values = found
    of_scale, of_bias = (
        ops.sum(ops.sum(x, axis=-1, keepdims=True), axis=0)
        for x in (of_queries * tokens, of_queries)
    )
    return (
        affine(of_queries, scale) + ops.cast(of_keys, tokens.dtype),
        ops.cast(of_scale, scale.dtype),
        ops.cast(of_bias, bias.dtype),
        ops.cast(of_values[:, :, :-1], values.dtype),
    )


def _sum_over_blocks(of_block, tokens, values, above, block, begin):
    """The queries' gradients side by side, the keys' and values' summed."""
    dtype = keras.backend.standardize_dtype(tokens.dtype)
    dtype = keras.backend.result_type(dtype, "float32")
    above = _split(above, block)

    def step(i, state):
        # Blocks of tokens make way for their gradients, one by one: reading
        # from what the last step wrote keeps the steps in order.
        blocks, of_keys, of_values = state
        of_queries, *more = of_block(
            ops.take(blocks, i, axis=0), ops.take(above, i, axis=0)
        )
        blocks = ops.slice_update(
            blocks, (i, 0, 0, 0, 0), ops.expand_dims(of_queries, 0)
        )
        of_keys += ops.cast(more[0], dtype)
        of_values += ops.cast(more[1], dtype)
        return blocks, of_keys, of_values

    blocks = _split(tokens, block)
    state = (
        blocks,
        ops.zeros_like(tokens, dtype=dtype),
        ops.zeros_like(values, dtype=dtype),
    )
    blocks, *sums = ops.fori_loop(begin, ops.shape(blocks)[0], step, state)
    return _join(blocks, ops.shape(tokens)[-1]), *sums


def _split(tokens, block):
    """`(blocks, batch, heads, channels, block)`, the last filled with zeros."""
    batch, heads, channels, count = ops.shape(tokens)
    blocks = -(-count // block)
    tokens = ops.pad(
        tokens, ((0, 0), (0, 0), (0, 0), (0, blocks * block - count))
    )
    tokens = ops.reshape(tokens, (batch, heads, channels, blocks, block))
    return ops.transpose(tokens, (3, 0, 1, 2, 4))


def _join(blocks, count):
    """What `_split` was given, from its blocks."""
    number, batch, heads, channels, block = ops.shape(blocks)
    tokens = ops.transpose(blocks, (1, 2, 3, 0, 4))
    tokens = ops.reshape(tokens, (batch, heads, channels, number * block))
    return tokens[..., :count]
