import functools
import math

import keras
from keras import ops

from dca_keras.layers.affine import affine
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
        recompute: Whether training keeps only the tokens and makes the rest
            anew on the way back, for less memory. It changes no result.

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

    def attend(self, tokens, training, return_scores):
        if training and self.recompute and not return_scores:
            return keras.remat(self._attend)(tokens)[0], None
        return self._attend(tokens)

    def _attend(self, tokens):
        own = [self._normalise(stage) for stage in tokens]
        joint = self._split_heads(ops.concatenate(own, axis=-1))
        folded = functools.partial(self._folded, joint_norm=self._joint_norm())
        pairs = [
            self._attend_stage(i, stage, joint, folded)
            for i, stage in enumerate(own)
        ]
        return tuple(zip(*pairs, strict=True))

    def _attend_stage(self, i, own, joint, folded):
        root = math.sqrt(self.heads * joint.shape[-1])
        scale, bias = folded("query", i)
        query = self._split_heads(affine(own, scale / root, bias / root))
        sums = ops.sum(query, axis=-2, keepdims=True)
        query, sums = (ops.swapaxes(x, -1, -2) for x in (query, sums))
        # Keys and values are the joint tokens: their affines, and the
        # projection, act on the maps, which are small, and on the query's
        # sums over the tokens.
        scale, bias = map(self._by_head, folded("key", i))
        scores = affine(ops.matmul(query, joint), scale) + affine(sums, bias)
        scores = ops.softmax(scores)  # (batch, heads, channels_i, channels_c)
        projection = self.projections[i]
        scale, bias = map(self._by_head, folded("value", i))
        factor, summand = map(
            self._by_head, (projection.scale, projection.bias)
        )
        factor = ops.swapaxes(factor, -1, -2)
        weights = ops.swapaxes(affine(scores, factor * scale), -1, -2)
        constant = ops.sum(affine(scores, factor * bias), axis=-1)
        constant = ops.expand_dims(constant, 2)
        attended = ops.matmul(joint, weights) + (
            constant + ops.cast(summand, constant.dtype)
        )
        return self._merge_heads(attended), scores

    def _split_heads(self, tokens):
        """`(batch, heads, tokens, channels of a head)`."""
        _, count, channels = ops.shape(tokens)
        if self.heads == 1:
            return ops.expand_dims(tokens, 1)
        split = (-1, count, self.heads, channels // self.heads)
        return ops.swapaxes(ops.reshape(tokens, split), 1, 2)

    def _merge_heads(self, tokens):
        """What `_split_heads` was given."""
        _, heads, count, channels = ops.shape(tokens)
        if self.heads > 1:
            tokens = ops.swapaxes(tokens, 1, 2)
        return ops.reshape(tokens, (-1, count, heads * channels))

    def _by_head(self, vector):
        """One value a channel of the joint tokens, `(heads, 1, channels)`."""
        return ops.reshape(vector, (self.heads, 1, -1))
