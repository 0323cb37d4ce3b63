import math

import keras

from dca_keras.config import is_positive_int
from dca_keras.layers.affine import affine
from dca_keras.layers.attention import (
    attend,
    attend_fused,
    attend_in_blocks,
    can_fuse,
)
from dca_keras.layers.cross_attention import CrossAttention

# Up to so many tokens a stage's maps are made whole, which is quicker. In
# training they stay until the way back, hence the lower number. A block has
# so many scores a head, but at least so many queries.
WHOLE_IN_TRAINING = 512
WHOLE_IN_INFERENCE = 4096
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

    def __init__(self, heads, query_block=None, **kwargs):
        super().__init__(heads, **kwargs)
        check_query_block(query_block)
        self.query_block = query_block

    def attend(self, own, joint, training, return_scores):
        # Stage after stage, so that their maps need not live together.
        pairs = [
            self._attend_stage(i, stage, joint, training, return_scores)
            for i, stage in enumerate(own)
        ]
        return tuple(zip(*pairs, strict=True))

    def _attend_stage(self, i, own, joint, training, return_scores):
        # Query and key are both the joint tokens, so the key's factors can go
        # to the query; its summands cancel in the softmax. The scores' rows
        # sum to one, so value and projection are one affine after them.
        factors, _ = self._folded("key", i)
        factors = factors / math.sqrt(joint.shape[-1])
        scale, bias = (part * factors for part in self._folded("query", i))
        query = affine(joint, self._by_head(scale), self._by_head(bias))
        value = self._split_heads(own)
        block = self._block(joint.shape[2], training)
        scores = None
        if return_scores or block is None:
            attended, scores = attend(query, joint, value)
        elif self.query_block is None and can_fuse(query):
            attended = attend_fused(query, joint, value)
        else:
            attended = attend_in_blocks(query, joint, value, block)
        projection = self.projections[i].after(*self._folded("value", i))
        return affine(self._merge_heads(attended), *projection), scores

    def _block(self, tokens, training):
        """How many queries at a time; `None` is all of them."""
        if self.query_block is not None:
            return self.query_block
        whole = WHOLE_IN_TRAINING if training else WHOLE_IN_INFERENCE
        if tokens is None or tokens <= whole:
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
