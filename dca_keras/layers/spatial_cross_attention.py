import math

import keras
from keras import ops

from dca_keras.config import is_positive_int
from dca_keras.layers import _fast
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
        query_block: Number of queries whose scores exist at one time, so that
            memory grows with the tokens and not with their square; training
            computes them once more in the backward pass. `None` chooses:
            whole maps for few tokens (and where a graph does not know how
            many), blocks for many. It changes no result.
        recompute: Whether training recomputes whole maps, too, in the
            backward pass, for less memory. It changes no result.
        fast: Whether to compute the same function with folded affines, in
            blocks and with a gradient of its own, for less time and memory.
            With `False` the equations run as they are written in `call`.

    Call arguments:
        tokens: List of tensors, one a stage.
        training: Whether gradients will be taken.
        return_attention_scores: Whether to return the scores, too, for which
            the equations run as they are written.

    Input shape:
        A list of `(batch, tokens, channels_i)`, one a stage.

    Output shape:
        A list of the same shapes. With `return_attention_scores=True` also
        the scores, a list of `(batch, heads, tokens, tokens)`.

    Raises:
        ValueError: If `query_block` is not a positive integer or `None`; at
            build, if `heads` does not divide every width.

    Reference:
        [Dual Cross-Attention, equations 6 to 8](
        https://arxiv.org/abs/2303.17696)
    """

    joint = ("query", "key")
    key_bias = False

    def __init__(
        self,
        heads: int,
        query_block: int | None = None,
        recompute: bool = False,
        fast: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(heads, recompute, fast, **kwargs)
        check_query_block(query_block)
        self.query_block = query_block

    def call(self, tokens, training=None, return_attention_scores=False):
        if self.fast and not return_attention_scores:
            return _fast.attend_across_space(self, tokens, training)
        normed = [
            norm(stage) for norm, stage in zip(self.norms, tokens, strict=True)
        ]
        joint = ops.concatenate(normed, axis=-1)
        root = math.sqrt(joint.shape[-1] / self.heads)
        outputs, all_scores = [], []
        for i, stage in enumerate(tokens):
            query = self.split_heads(self.queries[i](joint))
            key = self.split_heads(self.keys[i](joint))
            value = self.split_heads(self.values[i](normed[i]))
            # (batch, heads, tokens, channels of a head)
            key = ops.swapaxes(key, -1, -2)
            scores = ops.softmax(ops.matmul(query / root, key))
            # (batch, heads, tokens of the query, tokens of the key)
            attended = self.merge_heads(ops.matmul(scores, value))
            outputs.append(stage + self.projections[i](attended))
            all_scores.append(scores)
        return (outputs, all_scores) if return_attention_scores else outputs

    def get_config(self):
        return {**super().get_config(), "query_block": self.query_block}


def check_query_block(query_block):
    """Raise `ValueError` unless it is `None` or a positive integer."""
    if query_block is not None and not is_positive_int(query_block):
        raise ValueError(
            "`query_block` must be a positive integer, or None to choose by "
            f"the number of tokens. Received: {query_block!r}."
        )
