import keras
from keras import ops

from dca_keras.layers.affine import Affine

EPSILON = 1e-6


class CrossAttention(keras.layers.Layer):
    """Base of `ChannelCrossAttention` and `SpatialCrossAttention`.

    It makes the layers that both have: for every stage a layer norm and the
    affine functions for the query, the key, the value and the projection.
    The normalised stages, side by side, are the joint tokens.

    A subclass says in `joint` which of query, key and value come from the
    joint tokens instead of the stage's own, in `key_bias` whether its key has
    a bias, and in `call` how the tokens attend.
    """

    joint = ()
    key_bias = True

    def __init__(self, heads, recompute=False, fast=True, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.recompute = recompute
        self.fast = fast

    def build(self, input_shape):
        widths = [shape[-1] for shape in input_shape]
        check_heads(widths, self.heads)
        self.norms = [
            keras.layers.LayerNormalization(
                epsilon=EPSILON, name=f"norm_{stage}", dtype=self.dtype_policy
            )
            for stage, _ in enumerate(widths, 1)
        ]
        for norm, width in zip(self.norms, widths, strict=True):
            norm.build((None, None, width))
        self.queries, self.keys, self.values, self.projections = (
            [self._affine(role, stage) for stage, _ in enumerate(widths, 1)]
            for role in ("query", "key", "value", "projection")
        )
        # In this order a seed draws the initial values it has always drawn.
        roles = {
            "projection": self.projections,
            "query": self.queries,
            "key": self.keys,
            "value": self.values,
        }
        for i, width in enumerate(widths):
            for role, affines in roles.items():
                channels = sum(widths) if role in self.joint else width
                affines[i].build((None, None, channels))

    def _affine(self, role, stage):
        return Affine(
            use_bias=role != "key" or self.key_bias,
            name=f"{role}_{stage}",
            dtype=self.dtype_policy,
        )

    def split_heads(self, tokens):
        """Divide channels into heads, `(batch, heads, tokens, channels)`."""
        _, count, channels = ops.shape(tokens)
        heads = (-1, count, self.heads, channels // self.heads)
        return ops.swapaxes(ops.reshape(tokens, heads), 1, 2)

    def merge_heads(self, tokens):
        """Put the channels of all heads side by side again."""
        _, heads, count, channels = ops.shape(tokens)
        tokens = ops.swapaxes(tokens, 1, 2)
        return ops.reshape(tokens, (-1, count, heads * channels))

    def compute_output_shape(self, input_shape):
        return list(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "recompute": self.recompute,
            "fast": self.fast,
        }


def check_heads(widths, heads, argument="heads"):
    """Raise `ValueError` unless `heads` divides every one of `widths`."""
    if None in widths:
        raise ValueError(
            "The channels of every stage must be known. "
            f"Received channels: {widths}."
        )
    if any(width % heads for width in widths):
        raise ValueError(
            f"`{argument}` must divide the channels of every stage. Received: "
            f"{argument}={heads}, channels={widths}. Give the stages widths "
            f"that are multiples of {heads}, or fewer heads."
        )
