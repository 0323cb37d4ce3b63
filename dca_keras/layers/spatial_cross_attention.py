import math

import keras
from keras import ops

from dca_keras.layers.cross_attention import CrossAttention


@keras.saving.register_keras_serializable(package="dca_keras")
class SpatialCrossAttention(CrossAttention):
    """Every stage's tokens attend across space by all stages' content (SCA).

    Paper's symbols: Q and K come from the C_c = ΣC_i joint channels, V_i from
    stage i's C_i channels; `heads` is h; the scale is √(C_c/h). The key has
    no bias: it would add the same number to every score of a query, which
    the softmax cancels.

    Args:
        heads: Number of heads, each a contiguous run of channels; divides
            every stage's channels.

    Input shape:
        A list of `(batch, tokens, channels_i)`, one a stage.

    Output shape:
        A list of the same shapes. With `return_attention_scores=True` also
        the scores, a list of `(batch, heads, tokens, tokens)`.

    Raises:
        ValueError: At build, if `heads` does not divide every width.

    Reference:
        [Dual Cross-Attention, equations 6 to 8](
        https://arxiv.org/abs/2303.17696)
    """

    joint = ("query", "key")
    key_bias = False

    def attend(self, query, key, value):
        scale = 1 / math.sqrt(key.shape[-1])
        scores = ops.einsum("bqhc,bkhc->bhqk", query * scale, key)
        scores = ops.softmax(scores)  # (batch, heads, tokens, tokens)
        return ops.einsum("bhqk,bkhc->bqhc", scores, value), scores
