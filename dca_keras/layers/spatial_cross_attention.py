import functools
import math

import keras
from keras import ops

from dca_keras.config import is_positive_int
from dca_keras.layers.affine import affine
from dca_keras.layers.attention import (
    attend,
    attend_fused,
    attend_in_blocks,
    can_fuse,
)
from dca_keras.layers.cross_attention import CrossAttention

# At rest a stage's maps are made whole up to so many tokens, which is quicker.
# A block has so many scores a head, but at least so many queries.
WHOLE_AT_REST = 4096
BLOCK_SCORES = 2**20
LEAST_QUERIES = 256


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
        query_block: For how many tokens the scores are made at a time, and
            in training made once more on the way back, so that memory grows
            with the tokens and not with their square. `None` chooses: whole
            maps for few tokens (and where a graph does not know how many),
            blocks for many, the backend's own kernel on a GPU in half
            precision. It changes no result.
        recompute: Whether training makes whole maps, too, anew on the way
            back, for less memory. It changes no result.

    Input shape:
        A list of `(batch, tokens, channels_i)`, one a stage.

    Output shape:
        A list of the same shapes. With `return_attention_scores=True` also
        the scores, a list of `(batch, heads, tokens, tokens)`, always whole.

    Raises:
        ValueError: If `query_block` is not a positive integer or `None`; at
            build, if `heads` does not divide every width.

    Reference:
        [Dual Cross-Attention, equations 6 to 8](
        https://arxiv.org/abs/2303.17696)
    """

    joint = ("query", "key")
    key_bias = False

    def __init__(self, heads, query_block=None, recompute=False, **kwargs):
        super().__init__(heads, recompute, **kwargs)
        check_query_block(query_block)
        self.query_block = query_block

    def attend(self, tokens, training, return_scores):
        own = [ops.swapaxes(self._normalise(stage), 1, 2) for stage in tokens]
        joint = self._heads_of(ops.concatenate(own, axis=1))
        folded = functools.partial(self._folded, joint_norm=self._joint_norm())
        # Stage after stage, so that their maps need not live together.
        pairs = [
            self._attend_stage(i, stage, joint, folded, training, return_scores)
            for i, stage in enumerate(own)
        ]
        return tuple(zip(*pairs, strict=True))

    def _attend_stage(self, i, own, joint, folded, training, return_scores):
        # Query and key are both the joint tokens, so the key's factors can go
        # to the query; its summands cancel in the softmax. The scores' rows
        # sum to one, so value and projection are one affine after them.
        factors, _ = folded("key", i)
        factors = factors / math.sqrt(joint.shape[2])
        scale, bias = (
            ops.reshape(part * factors, (self.heads, -1, 1))
            for part in folded("query", i)
        )
        parts = joint, scale, bias, self._heads_of(own)
        block = self._block(joint.shape[-1], training)
        scores = None
        if return_scores or not (training or block):
            attended, scores = attend(*parts)
        elif self.query_block is None and can_fuse(joint):
            attended = attend_fused(*parts)
        else:
            keep = not self.recompute
            attended = attend_in_blocks(*parts, block, keep)
        attended = ops.reshape(attended, (-1, *ops.shape(own)[1:]))
        projection = self.projections[i].after(*folded("value", i))
        attended = affine(
            attended, *(ops.expand_dims(part, -1) for part in projection)
        )
        return ops.swapaxes(attended, 1, 2), scores

    def _heads_of(self, tokens):
        """`(batch, channels, tokens)` with its channels split into heads."""
        _, channels, count = ops.shape(tokens)
        split = (-1, self.heads, channels // self.heads, count)
        return ops.reshape(tokens, split)

    def _block(self, tokens, training):
        """How many queries at a time; `None` is all of them."""
        if self.query_block is not None or tokens is None:
            return self.query_block
        most = BLOCK_SCORES if training else WHOLE_AT_REST**2
        if tokens**2 <= most:
            return None
        blocks = -(-tokens // max(LEAST_QUERIES, BLOCK_SCORES // tokens))
        return -(-tokens // blocks)

    def get_config(self):
        return {**super().get_config(), "query_block": self.query_block}


def check_query_block(query_block):
    """Raises `ValueError` unless it is `None` or a positive integer."""
    if query_block is not None and not is_positive_int(query_block):
        raise ValueError(
            "`query_block` must be a positive integer, or None to choose by "
            f"the number of tokens. Received: {query_block!r}."
        )
