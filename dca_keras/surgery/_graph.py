"""A functional model as one flat graph of tensors, models in it opened up."""

import collections
import dataclasses
import functools
import operator
from fractions import Fraction

import keras

from dca_keras._functional import functional, ordered_nodes

# Sides to try where a model leaves its own open: most strides divide one.
PROBES = (64, 224, 256)
CROPS = (
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.CenterCrop,
)
PADS = (keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D)


@dataclasses.dataclass(eq=False)
class Tensor:
    """A tensor of the flat graph.

    `stride` is how many pixels of the model's input one of its own stands
    for, on each axis; None for tensors without height and width. `sides` are
    its own, but without the padding that a layer put around it. `ancestors`
    is a bit mask over the tensors' indices, the tensor's own included.
    `aliases` are the Keras tensors that stand for it, by the model that they
    belong to: a model's output is also a tensor of the model around it.
    """

    index: int
    spec: keras.KerasTensor
    producer: object = None
    stride: tuple | None = None
    origin: tuple | None = None
    sides: tuple = ()
    is_image: bool = True
    depth: int = 0
    ancestors: int = 0
    consumers: list = dataclasses.field(default_factory=list)
    aliases: dict = dataclasses.field(
        default_factory=lambda: collections.defaultdict(list)
    )

    @property
    def scale(self):
        """Pixels of the input for one of its own; 0 without sides."""
        return functools.reduce(operator.mul, self.stride) if self.stride else 0

    def descends_from(self, other):
        return bool(self.ancestors >> other.index & 1)


@dataclasses.dataclass(eq=False)
class Call:
    """A layer or operation called once; `path` leads to it through models."""

    operation: object
    path: tuple
    inputs: list
    outputs: list

    @property
    def name(self):
        return "/".join(node.operation.name for node in self.path)


class Graph:
    """The flat graph of a functional model.

    Raises:
        ValueError: If the model has no graph, no image or volume among its
            inputs, or a layer with its channels first.
    """

    def __init__(self, model):
        self.model = model
        self.root = functional(model)
        if self.root is None:
            raise ValueError(
                "`model` must be a functional `keras.Model`, whose graph of "
                f"layers can be read. Received: {type(model).__name__} "
                f"{getattr(model, 'name', model)!r}, whose layers are called "
                "in Python. Build it with `keras.Model(inputs, outputs)`, or "
                "call `DualCrossAttention` on its skips in its own `call`."
            )
        ranks = [len(x.shape) for x in self.root.inputs]
        self.rank = next((rank for rank in ranks if rank in (4, 5)), None)
        if self.rank is None:
            raise ValueError(
                "`model` must have an input (batch, height, width, channels) "
                "or (batch, depth, height, width, channels). Received input "
                f"shapes: {[tuple(x.shape) for x in self.root.inputs]}."
            )
        for side in PROBES:
            self.tensors, self.calls = [], []
            try:
                self._open(self.root, (), self._inputs(side))
                break
            except Unfit as error:
                failure = error
        else:
            raise ValueError(
                "The sizes of the model's tensors could not be computed: "
                f"{failure} Build the model with known sides."
            )

    def _inputs(self, side):
        for x in self.root.inputs:
            shape = [size or side for size in x.shape[1:]]
            tensor = self._add(keras.KerasTensor((x.shape[0], *shape), x.dtype))
            if len(x.shape) == self.rank:
                tensor.stride = (Fraction(1),) * (self.rank - 2)
        return self.tensors[:]

    def _add(self, spec):
        tensor = Tensor(len(self.tensors), spec)
        tensor.sides = tuple(spec.shape[1:-1])
        tensor.ancestors = 1 << tensor.index
        self.tensors.append(tensor)
        return tensor

    def _open(self, model, scope, inputs):
        known = {}
        for x, tensor in zip(model.inputs, inputs, strict=True):
            known[id(x)] = tensor
            tensor.aliases[scope].append(x)
        for node in ordered_nodes(model):
            given = [known[id(x)] for x in node.input_tensors]
            inner = functional(node.operation)
            if inner is not None and len(inner.inputs) == len(given):
                outputs = self._open(inner, (*scope, node), given)
            else:
                outputs = self._call(node, (*scope, node), given)
            for x, tensor in zip(node.outputs, outputs, strict=True):
                known[id(x)] = tensor
                tensor.aliases[scope].append(x)
        return [known[id(x)] for x in model.outputs]

    def _call(self, node, path, inputs):
        layer = node.operation
        call = Call(layer, path, list(dict.fromkeys(inputs)), [])
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                "The model's channels must come last. Layer "
                f"{call.name!r} has data_format='channels_first'. Build the "
                "model with `keras.config.set_image_data_format("
                "'channels_last')`."
            )
        has_weights = bool(getattr(layer, "weights", ())) and not isinstance(
            layer, keras.layers.Normalization
        )
        for spec in self._specs(node, inputs):
            tensor = self._add(spec)
            tensor.producer = call
            tensor.is_image = not has_weights and all(
                x.is_image for x in inputs
            )
            for x in call.inputs:
                tensor.ancestors |= x.ancestors
                tensor.depth = max(tensor.depth, x.depth + 1)
            self._measure(tensor, call)
            call.outputs.append(tensor)
        for x in call.inputs:
            x.consumers.append(call)
        self.calls.append(call)
        return call.outputs

    def _specs(self, node, inputs):
        """Return what the call gives for inputs of known sides."""
        if not any(None in x.shape[1:] for x in node.outputs):
            return [keras.KerasTensor(x.shape, x.dtype) for x in node.outputs]
        specs = {
            id(x): tensor.spec
            for x, tensor in zip(node.input_tensors, inputs, strict=True)
        }
        args, kwargs = node.arguments.fill_in(specs)
        try:
            outputs = node.operation.compute_output_spec(*args, **kwargs)
        except Exception as error:
            raise Unfit(
                f"layer {node.operation.name!r} failed for the shapes "
                f"{[tuple(x.shape) for x in specs.values()]}: {error}"
            ) from error
        return keras.tree.flatten(outputs)

    def _measure(self, tensor, call):
        """Set the stride, from that of the input of the nearest size.

        Tokens, and what is pooled to a single pixel or to a given number of
        them, have no stride, but remember the map that they come from.
        """
        origins = [
            (x.sides, x.stride) if x.stride else x.origin for x in call.inputs
        ]
        origins = [origin for origin in origins if origin]
        if not origins:
            return
        sides = tensor.sides
        is_map = len(tensor.spec.shape) == self.rank and None not in sides
        if not is_map:
            tensor.origin = origins[0]
            return
        near, stride = min(
            origins, key=lambda origin: _distance(origin[0], sides)
        )
        pooled = not any(x.stride for x in call.inputs) or max(near) > 2
        if (set(sides) == {1} and pooled) or _is_context(call.operation):
            tensor.origin = (near, stride)
        elif isinstance(call.operation, CROPS):
            tensor.stride = stride
        elif isinstance(call.operation, PADS) or _is(call.operation, "Pad"):
            tensor.stride, tensor.sides = stride, near
        else:
            tensor.stride = tuple(
                s * _ratio(before, after)
                for s, before, after in zip(stride, near, sides, strict=True)
            )


class Unfit(Exception):
    """The sides tried for an open model do not go through it."""


def _is(operation, name):
    return type(operation).__name__ == name  # of `keras.ops`, not exported


def _is_context(operation):
    """Whether it pools to given sizes, as in a pyramid of pools."""
    names = {kind.__name__ for kind in type(operation).__mro__}
    return any(name.startswith(("Global", "Adaptive")) for name in names)


def _distance(sides, others):
    return sum(
        max(a / b, b / a) for a, b in zip(sides, others, strict=True) if a and b
    )


def _ratio(before, after):
    """Return by which whole number a side shrinks or grows."""
    if before >= after:
        return Fraction(max(1, round(before / after)))
    return Fraction(1, max(1, round(after / before)))
