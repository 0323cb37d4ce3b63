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

    All of these, the layer norms' own scales and biases among them, are one
    factor and one summand per channel. So they are folded into each other, in
    full precision, and few of them ever pass over the tokens.

    A subclass says which of the three are `joint`, whether its key has a
    bias, and how the stages `attend`.
    """

    joint = ()
    key_bias = True

    def __init__(self, heads, recompute=False, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.recompute = recompute

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

    def call(self, tokens, training=None, return_attention_scores=False):
        attended, scores = self.attend(
            tokens, training, return_attention_scores
        )
        outputs = [a + b for a, b in zip(tokens, attended, strict=True)]
        return (outputs, scores) if return_attention_scores else outputs

    def attend(self, tokens, training, return_scores):
        """What every stage attends to, projected, and its scores.

        Args:
            tokens: Each stage's, `(batch, tokens, channels_i)`.
            training: Whether gradients will be taken.
            return_scores: Whether the scores are wanted; otherwise they may
                be `None`.

        Returns:
            Two lists, one entry a stage.
        """
        raise NotImplementedError

    def _normalise(self, tokens):
        """Layer norm but for its scale and bias, which are folded."""
        x = ops.cast(tokens, self.variable_dtype)
        x = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(x), axis=-1, keepdims=True)
        x = x * ops.rsqrt(variance + EPSILON)
        return ops.cast(x, self.compute_dtype)

    def _folded(self, role, i, joint_norm):
        """Scale and bias of a role's affine after the norm of its source."""
        affines = {
            "query": self.queries,
            "key": self.keys,
            "value": self.values,
        }
        own_norm = self.norms[i].gamma, self.norms[i].beta
        norm = joint_norm if role in self.joint else own_norm
        return affines[role][i].after(*norm)

    def _joint_norm(self):
        """Scale and bias of all stages' norms, side by side."""
        return (
            ops.concatenate([norm.gamma for norm in self.norms]),
            ops.concatenate([norm.beta for norm in self.norms]),
        )

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

    def compute_output_shape(self, input_shape):
        return list(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "recompute": self.recompute,
        }


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
