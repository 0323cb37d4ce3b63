import math

import keras
from keras import ops

from dca_keras.layers import _fast
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
        recompute: Whether training keeps only the tokens and recomputes the
            rest in the backward pass, for less memory. It changes no result.
        fast: Whether to compute the same function with folded affines, for
            less time and memory. With `False` the equations run as they are
            written in `call`.

    Call arguments:
        tokens: List of tensors, one a stage.
        training: Whether gradients will be taken.
        return_attention_scores: Whether to return the scores, too, for which
            the equations run as they are written.

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

    def call(self, tokens, training=None, return_attention_scores=False):
        if self.fast and not return_attention_scores:
            return _fast.attend_across_channels(self, tokens, training)
        normed = [
            norm(stage) for norm, stage in zip(self.norms, tokens, strict=True)
        ]
        joint = ops.concatenate(normed, axis=-1)
        root = math.sqrt(joint.shape[-1])
        outputs, all_scores = [], []
        for i, stage in enumerate(tokens):
            query = self.split_heads(self.queries[i](normed[i]))
            key = self.split_heads(self.keys[i](joint))
            value = self.split_heads(self.values[i](joint))
            # (batch, heads, tokens, channels of a head)
            query = ops.swapaxes(query / root, -1, -2)
            scores = ops.softmax(ops.matmul(query, key))
            # (batch, heads, channels of the query, channels of the key)
            attended = ops.matmul(value, ops.swapaxes(scores, -1, -2))
            attended = self.merge_heads(attended)
            outputs.append(stage + self.projections[i](attended))
            all_scores.append(scores)
        return (outputs, all_scores) if return_attention_scores else outputs
