"""Where each resolution of a backbone ends."""

import dataclasses
import math

import keras

from dca_keras._functional import functional, ordered_nodes

PROBE = 512  # a side for which every backbone's coarsest map has some pixels


@dataclasses.dataclass(frozen=True)
class Stage:
    """The last features of a backbone at one resolution.

    Args:
        level: How many times the sides were halved.
        tensor: The Keras tensor.
        missing: Pixels that a side lacks to be exactly the image's over
            2^level, for images whose sides the whole backbone divides.
            Convolutions without padding take them away.
    """

    level: int
    tensor: object = dataclasses.field(repr=False)
    missing: int


def find_stages(backbone):
    """Find the last tensor of each resolution before it is halved.

    Names play no part. Of each resolution it is the last tensor from which
    alone all that follows is computed: so it is what a residual stage adds up
    to, and nothing from within a block. Where there is none (NASNet's cells
    read the two before), it is the last beside which the fewest others are
    still needed. Zero padding does not count.

    Args:
        backbone: A functional `keras.Model` from images to feature maps. If
            it has `pyramid_outputs`, as backbones of keras-hub do, those are
            its stages.

    Returns:
        A list of `Stage`s from the finest to the coarsest, which is the
        backbone's output.

    Raises:
        ValueError: If the model has no graph, not one image as its input, or
            no feature map as its output.
    """
    model = _check(backbone)
    sides = _sides(model)
    pyramid = getattr(backbone, "pyramid_outputs", None)
    if pyramid:
        ends = {int(name[1:]): x for name, x in pyramid.items()}
    else:
        ends, fewest = {}, {}
        for x, others in _features(model):
            level = _level(sides[id(x)])
            if others <= fewest.get(level, others):
                ends[level], fewest[level] = x, others
        bottom = _level(sides[id(model.outputs[0])])
        ends = {level: x for level, x in ends.items() if level < bottom}
        ends[bottom] = model.outputs[0]
    return [
        Stage(level, ends[level], PROBE // 2**level - sides[id(ends[level])])
        for level in sorted(ends)
    ]


def call_on(backbone, image, tensors):
    """Call a backbone's layers on another image, one by one.

    Its layers become those of the model that is built, and keep their
    weights.

    Args:
        backbone: A functional model.
        image: Keras tensor to take in place of its input.
        tensors: Keras tensors of the backbone.

    Returns:
        What stands for `tensors` now, a list.
    """
    model = functional(backbone)
    made = {id(model.inputs[0]): image}
    for node in ordered_nodes(model):
        args, kwargs = node.arguments.fill_in(made)
        outputs = node.operation(*args, **kwargs)
        for old, new in zip(
            node.outputs, keras.tree.flatten(outputs), strict=True
        ):
            made[id(old)] = new
    return [made[id(x)] for x in tensors]


def _check(backbone):
    model = functional(backbone)
    shapes = "nothing"
    if model is not None:
        shapes = [tuple(x.shape) for x in (*model.inputs, *model.outputs)]
        images = len(model.inputs) == 1 and len(model.inputs[0].shape) == 4
        maps = len(model.outputs) == 1 and len(model.outputs[0].shape) == 4
        if images and (maps or getattr(backbone, "pyramid_outputs", None)):
            return model
    raise ValueError(
        "`backbone` must be a functional `keras.Model` from an image (batch, "
        "height, width, channels) to one feature map, such as "
        "`keras.applications.ResNet50(include_top=False)`. Received: "
        f"{type(backbone).__name__} {getattr(backbone, 'name', backbone)!r}, "
        f"whose graph has {shapes}."
    )


def _sides(model):
    """Return the height of each tensor for an image of `PROBE` squared."""
    image = model.inputs[0]
    probe = keras.KerasTensor((1, PROBE, PROBE, image.shape[-1]))
    specs = _specs(model, [probe])
    return {
        key: spec.shape[1] for key, spec in specs.items() if len(spec.shape) > 1
    }


def _specs(model, inputs):
    """Return what each of a model's tensors is for inputs of other sizes."""
    specs = {id(x): spec for x, spec in zip(model.inputs, inputs, strict=True)}
    for node in ordered_nodes(model):
        inner = functional(node.operation)
        if inner is not None:  # it would insist on its own size
            given = [specs[id(x)] for x in node.input_tensors]
            made = _specs(inner, given)
            outputs = [made[id(x)] for x in inner.outputs]
        else:
            args, kwargs = node.arguments.fill_in(specs)
            outputs = node.operation.compute_output_spec(*args, **kwargs)
        for x, spec in zip(
            node.outputs, keras.tree.flatten(outputs), strict=True
        ):
            specs[id(x)] = spec
    return specs


def _level(side):
    return round(math.log2(PROBE / side))


def _features(model):
    """Yield what may end a stage, and how many other tensors live beside it.

    Tensors that something further on still reads live. The first is that of
    the first layer with weights.
    """
    nodes = list(ordered_nodes(model))
    last_read = {
        id(x): place
        for place, node in enumerate(nodes)
        for x in node.input_tensors
    }
    live, learned = {id(model.inputs[0])}, False
    for place, node in enumerate(nodes):
        live = {x for x in live if last_read.get(x, 0) > place}
        layer = node.operation
        learned |= bool(getattr(layer, "weights", ())) and not isinstance(
            layer, keras.layers.Normalization
        )
        pads = isinstance(layer, keras.layers.ZeroPadding2D)
        x = node.outputs[0]
        if learned and not pads and len(x.shape) == 4:
            yield x, len(live)
        live.update(id(x) for x in node.outputs)
