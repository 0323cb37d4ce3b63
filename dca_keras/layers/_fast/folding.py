"""Layer norms and affines as one scale and one bias a channel."""

from keras import ops


def scale_and_shift(inputs, scale, bias=None):
    """Compute `inputs * scale + bias` in the inputs' dtype."""
    outputs = inputs * ops.cast(scale, inputs.dtype)
    return outputs if bias is None else outputs + ops.cast(bias, inputs.dtype)


def normalise(layer, tokens):
    """Apply every stage's layer norm without its scale and bias."""
    return [
        _normalise(layer, stage, norm.epsilon)
        for stage, norm in zip(tokens, layer.norms, strict=True)
    ]


def _normalise(layer, tokens, epsilon):
    x = ops.cast(tokens, layer.variable_dtype)
    x = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(x), axis=-1, keepdims=True)
    x = x * ops.rsqrt(variance + epsilon)
    return ops.cast(x, layer.compute_dtype)


def fold_norms(layer):
    """Fold the layer norms' scales and biases into the affines after them.

    Args:
        layer: A `CrossAttention`.

    Returns:
        Three lists, for queries, keys and values, with one pair of scale and
        bias a stage, in full precision.
    """
    own = [(norm.gamma, norm.beta) for norm in layer.norms]
    joint = [ops.concatenate(parts) for parts in zip(*own, strict=True)]
    return [
        [
            affine.compose(*(joint if role in layer.joint else norm))
            for affine, norm in zip(affines, own, strict=True)
        ]
        for role, affines in (
            ("query", layer.queries),
            ("key", layer.keys),
            ("value", layer.values),
        )
    ]
