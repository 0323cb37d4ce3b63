"""Attention of tokens to each other, with whole maps or in blocks.

Tokens have their channels first here, `(batch, heads, channels, tokens)`:
every product is then of matrices as they lie in memory. Keys are the tokens
themselves, and queries an affine function of them.
"""

import keras
from keras import ops

from dca_keras.layers._fast.custom_gradient import custom_gradient, zero_after
from dca_keras.layers._fast.folding import scale_and_shift


def attend(tokens, scale, bias, values):
    """Compute softmax attention with the whole map of scores.

    Args:
        tokens: `(batch, heads, channels, tokens)`, the keys.
        scale, bias: `(heads, channels, 1)`; `tokens * scale + bias` are the
            queries, already divided by the attention's root.
        values: `(batch, heads, channels of a value, tokens)`.

    Returns:
        The weighted values, `(batch, heads, channels of a value, tokens)`,
        and the scores, `(batch, heads, queries, keys)`.
    """
    scores = _score(scale_and_shift(tokens, scale, bias), tokens)
    return _weigh(values, scores), scores


def attend_in_blocks(tokens, scale, bias, values, block=None, keep=False):
    """Compute the same with a gradient that takes less time and memory.

    A block of queries sees all keys, so its softmax is complete. With blocks
    no map is ever whole: memory grows with the tokens, not with their square.

    Args:
        tokens, scale, bias, values: As for `attend`.
        block: Largest number of queries whose scores exist at one time;
            `None` is all.
        keep: Whether to keep the scores for the backward pass, which
            recomputes them otherwise. Those of blocks are never kept.

    Returns:
        The weighted values; no scores.
    """

    @custom_gradient
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


def _score(queries, keys):
    """Compute `(batch, heads, queries, keys)`; every row's sum is one."""
    return ops.softmax(ops.matmul(ops.swapaxes(queries, -1, -2), keys))


def _weigh(values, scores):
    return ops.matmul(values, ops.swapaxes(scores, -1, -2))


def _by_blocks(tokens, scale, bias, values, block):
    blocks = _split(tokens, block)
    first = ops.zeros_like(blocks[0, :, :, : values.shape[-2]])

    def step(_, some):
        scores = _score(scale_and_shift(some, scale, bias), tokens)
        outputs = _weigh(values, scores)
        # TensorFlow runs blocks one after the other only if each is carried.
        return outputs, outputs

    _, outputs = ops.scan(step, first, blocks)
    return _join(outputs, ops.shape(tokens)[-1])


def _gradient(tokens, scale, bias, values, outputs, upstream, block, kept):
    """Compute the gradients of tokens, scale, bias and values.

    Those of tokens are of their use as queries and as keys. The softmax's
    gradient subtracts each query's mean slope: as one more channel that costs
    no further pass over the map.
    """
    mean = ops.sum(outputs * upstream, axis=-2, keepdims=True)
    above = ops.concatenate([upstream, -mean], axis=-2)
    values = ops.concatenate([values, ops.ones_like(values[:, :, :1])], axis=-2)
    later = zero_after(mean)
    scale_later = scale + ops.cast(later, scale.dtype)

    def of_block(some, above):
        queries = scale_and_shift(some, scale_later, bias)
        scores = _score(queries, tokens) if kept is None else kept
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
        scale_and_shift(of_queries, scale) + ops.cast(of_keys, tokens.dtype),
        ops.cast(of_scale, scale.dtype),
        ops.cast(of_bias, bias.dtype),
        ops.cast(of_values[:, :, :-1], values.dtype),
    )


def _sum_over_blocks(of_block, tokens, values, above, block, begin):
    """Join the queries' gradients, and add up the keys' and the values'."""
    dtype = keras.backend.standardize_dtype(tokens.dtype)
    dtype = keras.backend.result_type(dtype, "float32")
    above = _split(above, block)

    def step(i, state):
        # Gradients overwrite the blocks of tokens one by one: reading from
        # what the last step wrote keeps the steps in order.
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
    """Cut tokens into `(blocks, batch, heads, channels, block)`.

    The last block is filled up with zeros.
    """
    batch, heads, channels, count = ops.shape(tokens)
    blocks = -(-count // block)
    tokens = ops.pad(
        tokens, ((0, 0), (0, 0), (0, 0), (0, blocks * block - count))
    )
    tokens = ops.reshape(tokens, (batch, heads, channels, blocks, block))
    return ops.transpose(tokens, (3, 0, 1, 2, 4))


def _join(blocks, count):
    """Undo `_split`, of `count` tokens."""
    number, batch, heads, channels, block = ops.shape(blocks)
    tokens = ops.transpose(blocks, (1, 2, 3, 0, 4))
    tokens = ops.reshape(tokens, (batch, heads, channels, number * block))
    return tokens[..., :count]
