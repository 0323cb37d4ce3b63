"""A functional model once more, with variables of its own."""

import inspect

import keras
from keras import ops, tree

from dca_keras._functional import functional, ordered_nodes

LAYERS_OWN = ("name", "trainable", "dtype")


class CannotCopy(ValueError):
    """A layer's class cannot make it again from its config."""


class Copies:
    """Copies layers, each once, and then gives the copies their weights.

    Args:
        model: A functional model of a class with a `get_config` of its own,
            which is to make the copies of all layers. By default each layer's
            class makes its copy.
    """

    def __init__(self, model=None):
        self._made = {}  # by identity: the operation and its copy
        if model is not None:
            copy = type(model).from_config(model.get_config())
            self._pair(functional(model), functional(copy))

    def _pair(self, model, copy):
        pairs = list(zip(model.operations, copy.operations, strict=True))
        for old, new in pairs:
            if type(old) is not type(new):
                raise TypeError(f"{old.name!r} became {new.name!r}")
            new.name = old.name
            self.put(old, new)
            if functional(old):
                self._pair(functional(old), functional(new))

    def copy(self, operation):
        """Return the copy of a layer, a model in a model, or an operation."""
        if id(operation) not in self._made:
            inner = functional(operation)
            if inner is not None:
                copy = rebuild(inner, self, name=operation.name)
                copy.trainable = operation.trainable
            elif isinstance(operation, keras.layers.Layer):
                copy = _copy_layer(operation)
            else:
                copy = type(operation).from_config(operation.get_config())
            self._made[id(operation)] = (operation, copy)
        return self._made[id(operation)][1]

    def put(self, operation, copy):
        """Set what stands for an operation in the new model."""
        self._made[id(operation)] = (operation, copy)

    def take_over_state(self):
        """Copy weights, statistics and `trainable` from the originals."""
        for layer, copy in self._made.values():
            if isinstance(layer, keras.layers.Layer) and not functional(layer):
                _take_over_state(layer, copy)


def rebuild(model, copies, name, edit=None):
    """Rebuild `model` with copies for its layers.

    Args:
        model: A functional model.
        copies: A `Copies`.
        name: The new model's name.
        edit: An `Edit` of some of the model's tensors.
    """
    inputs = tree.map_structure(_fresh_input, model.input)
    made = {
        id(old): new
        for old, new in zip(model.inputs, tree.flatten(inputs), strict=True)
    }
    nodes = list(ordered_nodes(model))
    first = _needed(nodes, edit.tensors) if edit else nodes
    for node in first:
        _call(node, copies, made)
    if edit:
        edit.apply(made)
        for node in nodes:
            if node not in first:
                _call(node, copies, made, edit.replaced(node))
    outputs = tree.map_structure(lambda x: made[id(x)], model.output)
    return keras.Model(inputs, outputs, name=name)


class Edit:
    """Tensors of a model to be replaced, for some of their readers.

    Args:
        tensors: One Keras tensor of the model for each skip.
        readers: For each skip, the nodes that read the new tensor.
        aliases: For each skip, all the Keras tensors that stand for it.
        function: From the list of tensors to the list of new ones.
    """

    def __init__(self, tensors, readers, aliases, function):
        self.tensors = tensors
        self._readers = readers
        self._aliases = aliases
        self._function = function
        self._new = None

    def apply(self, made):
        self._new = self._function([made[id(x)] for x in self.tensors])

    def replaced(self, node):
        return {
            id(x): new
            for new, readers, aliases in zip(
                self._new, self._readers, self._aliases, strict=True
            )
            if node in readers
            for x in aliases
        }


def _call(node, copies, made, replaced=None):
    args, kwargs = node.arguments.fill_in({**made, **(replaced or {})})
    layer = copies.copy(node.operation)
    try:
        outputs = layer(*args, **kwargs)
    except Exception as error:
        raise _failure(layer, error) from error
    for old, new in zip(node.outputs, tree.flatten(outputs), strict=True):
        made[id(old)] = new


def _needed(nodes, tensors):
    """Return the nodes, in order, that `tensors` are computed by."""
    wanted, needed = {id(x) for x in tensors}, []
    for node in reversed(nodes):
        if any(id(x) in wanted for x in node.outputs):
            wanted.update(id(x) for x in node.input_tensors)
            needed.append(node)
    return needed[::-1]


def _fresh_input(x):
    layer = x._keras_history.operation
    return keras.Input(
        batch_shape=x.shape,
        dtype=x.dtype,
        sparse=x.sparse,
        name=layer.name,
        optional=getattr(layer, "optional", False),
    )


def _copy_layer(layer):
    if isinstance(layer, keras.layers.Lambda):
        # The function itself: what is written of it may lack what it sees.
        return keras.layers.Lambda(
            layer.function,
            output_shape=layer._output_shape,
            mask=layer.mask,
            arguments=layer.arguments,
            name=layer.name,
            dtype=layer.dtype_policy,
        )
    # Classes that nobody registered are found by their names.
    classes = {type(x).__name__: type(x) for x in layer._flatten_layers()}
    kind, config = type(layer), {}
    with keras.saving.custom_object_scope(classes):
        try:
            config = layer.get_config()
            return kind.from_config(config)
        except Exception as error:
            # Some `get_config`s give more than `__init__` takes.
            taken = {*inspect.signature(kind).parameters, *LAYERS_OWN}
            less = {k: v for k, v in config.items() if k in taken}
            try:
                return kind.from_config(less)
            except Exception:
                raise _failure(layer, error) from error


def _failure(layer, error):
    return CannotCopy(
        f"Layer {layer.name!r} ({type(layer).__name__}) could not be copied "
        f"by its `get_config` and `from_config`: {error} Have `get_config` "
        "return every argument of `__init__` and nothing else."
    )


def _take_over_state(layer, copy):
    """Copy a layer's weights, and its sublayers', by Keras's protocol."""
    old, new = (list(x._flatten_layers()) for x in (layer, copy))
    same = len(old) == len(new) and all(
        [w.shape for w in a.weights] == [w.shape for w in b.weights]
        for a, b in zip(old, new, strict=True)
    )
    if not same:
        _take_over_variables(layer, copy)
        return
    for a, b in zip(old, new, strict=True):
        store = {}
        a.save_own_variables(store)
        if store:
            b.load_own_variables(
                {k: ops.convert_to_numpy(v) for k, v in store.items()}
            )
    for a, b in zip(old, new, strict=True):  # a parent before its children
        b.trainable = a.trainable


def _take_over_variables(layer, copy):
    """Copy variables in their order, where sublayers are grouped otherwise."""
    ours, theirs = (
        [(w.name, tuple(w.shape)) for w in x.variables] for x in (layer, copy)
    )
    if ours != theirs:
        raise _failure(layer, f"its variables {ours} became {theirs}.")
    for old, new in zip(layer.variables, copy.variables, strict=True):
        new.assign(old)
    copy.trainable = layer.trainable
