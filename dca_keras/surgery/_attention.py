"""The attention layer for given skips."""

import dataclasses
import functools
import itertools
import math
from fractions import Fraction

from dca_keras.layers import DualCrossAttention
from dca_keras.surgery._find import keras_tensor


def fit_heads(config, tensors):
    """Return the config with no more spatial heads than the widths allow."""
    shared = math.gcd(*_widths(tensors))
    heads = _most_heads(shared, config.spatial_heads)
    return dataclasses.replace(config, spatial_heads=heads)


def make_attention(graph, tensors, config):
    """Return a function that makes the attention layer."""
    options = dataclasses.asdict(config)
    patches = _patch_sizes(tensors, options.pop("patch_size"))
    for kind in ("channel", "spatial"):
        if options[f"{kind}_attention"]:
            _check_heads(tensors, f"{kind}_heads", options[f"{kind}_heads"])
    names = {call.operation.name for call in graph.calls}
    number = next(i for i in itertools.count(1) if _dca(i) not in names)
    layer = tensors[-1].producer.operation
    return functools.partial(
        DualCrossAttention,
        patches,
        name=_dca(number),
        dtype=getattr(layer, "dtype_policy", None),
        **options,
    )


def _dca(number):
    return "dca" if number == 1 else f"dca_{number}"


def _patch_sizes(tensors, patch_size):
    """Return a patch size a skip: a number, or one for each axis."""
    coarsest = _sides(tensors[-1])
    ratios = [
        [Fraction(a, b) for a, b in zip(_sides(x), coarsest, strict=True)]
        for x in tensors
    ]
    if any(ratio.denominator > 1 for axes in ratios for ratio in axes):
        shapes = [tuple(keras_tensor(x).shape) for x in tensors]
        raise ValueError(
            "Every skip's sides must be whole multiples of the coarsest "
            f"one's. Received skips of shapes {shapes}. Build "
            "the model for sides that its poolings divide without remainder, "
            "without cropping, or leave out with `skips=[…]` what does not "
            "fit."
        )
    finest = int(max(itertools.chain(*ratios)))
    unit = Fraction(patch_size or finest, finest)
    if unit.denominator > 1:
        raise ValueError(
            f"`config.patch_size` must be a multiple of {finest}, so that the "
            f"coarsest skip has whole patches. Received: {patch_size}."
        )
    sizes = [tuple(int(ratio * unit) for ratio in axes) for axes in ratios]
    return tuple(size[0] if len({*size}) == 1 else size for size in sizes)


def _check_heads(tensors, argument, heads):
    widths = _widths(tensors)
    shared = math.gcd(*widths)
    if shared % heads:
        raise ValueError(
            f"`{argument}` must divide the channels of every skip. Received: "
            f"{heads} for skips of {widths} channels. Use "
            f"`config=DCAConfig({argument}={_most_heads(shared, heads)})`."
        )


def _most_heads(shared, heads):
    """Return the most heads, up to `heads`, that divide shared channels."""
    return max(n for n in range(1, heads + 1) if shared % n == 0)


def _widths(tensors):
    return [keras_tensor(x).shape[-1] for x in tensors]


def _sides(tensor):
    return tensor.spec.shape[1:-1]
