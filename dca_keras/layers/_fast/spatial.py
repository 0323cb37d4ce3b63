"""Spatial cross-attention with folded affines, whole or in blocks."""

import math

from keras import ops

from dca_keras.layers._fast.attention import attend, attend_in_blocks
from dca_keras.layers._fast.folding import (
    fold_norms,
    normalise,
    scale_and_shift,
)

# A stage's maps are computed whole up to so many tokens.
WHOLE_IN_TRAINING, WHOLE_AT_INFERENCE = 1024, 4096
# Queries of a block at most: its scores then stay in a core's cache.
QUERIES = 64


def attend_across_space(layer, tokens, training):
    """Compute what a `SpatialCrossAttention` computes; no scores."""
    own = [ops.swapaxes(stage, 1, 2) for stage in normalise(layer, tokens)]
    joint = _split_heads(layer, ops.concatenate(own, axis=1))
    folded = zip(own, *fold_norms(layer), layer.projections, strict=True)
    # Stage after stage, so that their maps need not exist together.
    attended = [
        ops.swapaxes(_attend_stage(layer, training, joint, *stage), 1, 2)
        for stage in folded
    ]
    return [a + b for a, b in zip(tokens, attended, strict=True)]


def _attend_stage(layer, training, joint, own, query, key, value, projection):
    """Attend as one stage, projected, `(batch, channels_i, tokens)`.

    Query and key are both the joint tokens, so the key's scale can go to the
    query; a bias of the key would cancel in the softmax. The scores' rows sum
    to one, so value and projection are one affine after them.
    """
    factor = key[0] / math.sqrt(joint.shape[2])
    scale, bias = (
        ops.reshape(part * factor, (layer.heads, -1, 1)) for part in query
    )
    operands = joint, scale, bias, _split_heads(layer, own)
    block = _choose_block(layer.query_block, joint.shape[-1], training)
    if training or block:
        attended = attend_in_blocks(*operands, block, not layer.recompute)
    else:
        attended, _ = attend(*operands)
    attended = ops.reshape(attended, (-1, *ops.shape(own)[1:]))
    scale, bias = projection.compose(*value)
    scale, bias = (ops.expand_dims(part, -1) for part in (scale, bias))
    return scale_and_shift(attended, scale, bias)


def _split_heads(layer, tokens):
    """Divide the channels of `(batch, channels, tokens)` into heads."""
    _, channels, count = ops.shape(tokens)
    heads = (-1, layer.heads, channels // layer.heads, count)
    return ops.reshape(tokens, heads)


def _choose_block(query_block, tokens, training):
    """Return how many queries to take at a time; `None` is all of them."""
    if query_block is not None or tokens is None:
        return query_block
    if tokens <= (WHOLE_IN_TRAINING if training else WHOLE_AT_INFERENCE):
        return None
    blocks = -(-tokens // QUERIES)
    return -(-tokens // blocks)
