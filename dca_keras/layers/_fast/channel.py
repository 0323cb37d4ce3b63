"""Channel cross-attention whose affines act on the maps."""

import math

import keras
from keras import ops

from dca_keras.layers._fast.folding import (
    fold_norms,
    normalise,
    scale_and_shift,
)


def attend_across_channels(layer, tokens, training):
    """Compute what a `ChannelCrossAttention` computes; no scores."""

    def attend(tokens):
        own = normalise(layer, tokens)
        joint = layer.split_heads(ops.concatenate(own, axis=-1))
        folded = zip(own, *fold_norms(layer), layer.projections, strict=True)
        return [
            layer.merge_heads(_attend_stage(layer, joint, *stage))
            for stage in folded
        ]

    if training and layer.recompute:
        attend = keras.remat(attend)
    return [a + b for a, b in zip(tokens, attend(tokens), strict=True)]


def _attend_stage(layer, joint, own, query, key, value, projection):
    """Attend as one stage, projected, `(batch, heads, tokens, channels_i)`.

    Keys and values are the joint tokens: their affines, and the projection,
    act on the maps, which are small, and on the query's sums over the tokens.
    """

    def by_head(vector):  # (heads, 1, channels of a head)
        return ops.reshape(vector, (layer.heads, 1, -1))

    root = math.sqrt(layer.heads * joint.shape[-1])
    query = scale_and_shift(own, *(part / root for part in query))
    query = layer.split_heads(query)
    sums = ops.sum(query, axis=-2, keepdims=True)
    query, sums = (ops.swapaxes(x, -1, -2) for x in (query, sums))
    scale, bias = map(by_head, key)
    scores = scale_and_shift(ops.matmul(query, joint), scale)
    scores = ops.softmax(scores + scale_and_shift(sums, bias))
    # (batch, heads, channels of the query, channels of the key)
    scale, bias = map(by_head, value)
    factor = ops.swapaxes(by_head(projection.scale), -1, -2)
    weights = scale_and_shift(scores, factor * scale)
    constant = ops.sum(scale_and_shift(scores, factor * bias), axis=-1)
    constant = ops.expand_dims(constant, 2)
    summand = ops.cast(by_head(projection.bias), constant.dtype)
    attended = ops.matmul(joint, ops.swapaxes(weights, -1, -2))
    return attended + (constant + summand)
