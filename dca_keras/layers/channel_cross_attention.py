import math

import keras
from keras import ops

from dca_keras.layers.cross_attention import CrossAttention


@keras.saving.register_keras_serializable(package="dca_keras")
class ChannelCrossAttention(CrossAttention):
    """Every stage's channels attend to the channels of all stages (CCA).

    Paper's symbols: Q_i comes from stage i's C_i channels, K and V from the
    C_c = ΣC_i joint channels; `heads` is h. The scale is √C_c for any number
    of heads.

    Args:
        heads: Number of heads, each a contiguous run of channels; divides
            every stage's channels.

    Input shape:
        A list of `(batch, tokens, channels_i)`, one a stage.

    Output shape:
        A list of the same shapes. With `return_attention_scores=True` also
        the scores, a list of
        `(batch, heads, channels_i / heads, channels_c / heads)`.

    Raises:
        ValueError: At build, if `heads` does not divide every width.

    Reference:
        [Dual Cross-Attention, equations 3 to 5](
        https://arxiv.org/abs/2303.17696)
    """

    joint = ("key", "value")

    def attend(self, query, key, value):
        scale = 1 / math.sqrt(self.heads * key.shape[-1])
        scores = ops.einsum("bnhq,bnhk->bhqk", query * scale, key)
        scores = ops.softmax(scores)  # (batch, heads, channels_i, channels_c)
        return ops.einsum("bhqk,bnhk->bnhq", scores, value), scores
