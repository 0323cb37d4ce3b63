import keras
from keras import ops

from dca_keras.layers.affine import Affine

EPSILON = 1e-6


class CrossAttention(keras.layers.Layer):
    """Every stage's tokens attend to the tokens of all stages.

    The base of `ChannelCrossAttention` and `SpatialCrossAttention`. Each
    stage is normalised; the normalised stages, side by side, are the joint
    tokens. Queries, keys and values are affine functions of a stage's own or
    of the joint tokens, and what the attention gives is projected by one more
    affine and added to the stage.

    A subclass says which of the three are `joint`, whether its key has a
    bias, and how to `attend`.
    """

    joint = ()
    key_bias = True

    def __init__(self, heads, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape):
        widths = [shape[-1] for shape in input_shape]
        check_heads(widths, self.heads)
        stages = range(1, len(widths) + 1)
        self.norms = [
            keras.layers.LayerNormalization(
                epsilon=EPSILON, name=f"norm_{stage}", dtype=self.dtype_policy
            )
            for stage in stages
        ]
        self.queries, self.keys, self.values, self.projections = (
            [self._affine(role, stage) for stage in stages]
            for role in ("query", "key", "value", "projection")
        )
        self._build_parts(widths)

    def call(self, tokens, return_attention_scores=False):
        normed = [
            norm(stage) for norm, stage in zip(self.norms, tokens, strict=True)
        ]
        joint = ops.concatenate(normed, axis=-1)
        outputs, scores = [], []
        for i, stage in enumerate(tokens):
            source = {role: joint for role in self.joint}
            query, key, value = (
                self._split_heads(affine(source.get(role, normed[i])))
                for role, affine in (
                    ("query", self.queries[i]),
                    ("key", self.keys[i]),
                    ("value", self.values[i]),
                )
            )  # (batch, tokens, heads, channels of a head)
            attended, weights = self.attend(query, key, value)
            attended = ops.reshape(attended, ops.shape(stage))
            outputs.append(stage + self.projections[i](attended))
            scores.append(weights)
        return (outputs, scores) if return_attention_scores else outputs

    def attend(self, query, key, value):
        """Attention and its scores for one stage, split into heads."""
        raise NotImplementedError

    def _affine(self, role, stage):
        return Affine(
            use_bias=role != "key" or self.key_bias,
            name=f"{role}_{stage}",
            dtype=self.dtype_policy,
        )

    def _build_parts(self, widths):
        total = sum(widths)
        for i, width in enumerate(widths):
            self.norms[i].build((None, None, width))
            self.projections[i].build((None, None, width))
            for role, affines in (
                ("query", self.queries),
                ("key", self.keys),
                ("value", self.values),
            ):
                source = total if role in self.joint else width
                affines[i].build((None, None, source))

    def _split_heads(self, tokens):
        _, count, channels = ops.shape(tokens)
        return ops.reshape(
            tokens, (-1, count, self.heads, channels // self.heads)
        )

    def compute_output_shape(self, input_shape):
        return list(input_shape)

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}


def check_heads(widths, heads, argument="heads"):
    """Raises `ValueError` unless `heads` divides every one of `widths`."""
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
