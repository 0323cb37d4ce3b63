"""The attention layer for given skips."""

import dataclasses
import functools
import itertools
import math
from fractions import Fraction

from dca_keras.layers import DualCrossAttention
from dca_keras.surgery._find import keras_tensor


def make_attention(graph, tensors, config):
    """Return a function that makes the attention layer."""
    shapes = [tuple(keras_tensor(x).shape) for x in tensors]
    options = dataclasses.asdict(config)
    patches = _patch_sizes(tensors, shapes, options.pop("patch_size"))
    for kind in ("channel", "spatial"):
        if options[f"{kind}_attention"]:
            _check_heads(shapes, f"{kind}_heads", options[f"{kind}_heads"])
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


def _patch_sizes(tensors, shapes, patch_size):
    coarsest = tensors[-1]
    ratios = []
    for x in tensors:
        steps = {
            Fraction(side, other)
            for side, other in zip(_sides(x), _sides(coarsest), strict=True)
        }
        ratios.append(steps.pop() if len(steps) == 1 else Fraction(1, 2))
    if any(ratio.denominator > 1 for ratio in ratios):
        raise ValueError(
            "Every skip's sides must be one whole multiple of the coarsest "
            f"one's, on all axes. Received skips of shapes {shapes}. Build "
            "the model for sides that its poolings divide without remainder, "
            "without cropping, or leave out with `skips=[…]` what does not "
            "fit."
        )
    finest = int(max(ratios))
    unit = Fraction(patch_size or finest, finest)
    if unit.denominator > 1:
        raise ValueError(
            f"`config.patch_size` must be a multiple of {finest}, so that the "
            f"coarsest skip has whole patches. Received: {patch_size}."
        )
    return tuple(int(ratio * unit) for ratio in ratios)


def _check_heads(shapes, argument, heads):
    widths = [shape[-1] for shape in shapes]
    shared = math.gcd(*widths)
    if shared % heads:
        fit = max(n for n in range(1, heads) if shared % n == 0)
        raise ValueError(
            f"`{argument}` must divide the channels of every skip. Received: "
            f"{heads} for skips of {widths} channels. Use "
            f"`config=DCAConfig({argument}={fit})`."
        )


def _sides(tensor):
    return tensor.spec.shape[1:-1]
