"""Weights from anywhere into a model."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import h5py
import keras

from dca_keras.layers import DualCrossAttention
from dca_keras.reference import fit_reference_weights
from dca_keras.weights._arrays import by_key, is_of_class, open_arrays
from dca_keras.weights._sources import PUBLISHED, find_file

SHOWN = 12  # Names in an error.


class Loaded(NamedTuple):
    """What `load_weights` did.

    Attributes:
        path: The file that the weights are from.
        layers: Names of the layers that took weights.
        new: Names of the layers that keep their initial values.
        unused: Names of the file's layers that the model has not.
    """

    path: Path
    layers: tuple
    new: tuple
    unused: tuple

    def __str__(self):
        text = f"weights of {len(self.layers)} layers from {self.path}"
        if self.new:
            text += f"; new: {', '.join(self.new)}"
        if self.unused:
            text += f"; not used: {', '.join(self.unused)}"
        return text


def load_weights(model: keras.Model, source: str | Path) -> Loaded:
    """Start a model from weights.

    Names and shapes decide. What may differ is the head, which starts anew
    where it is for other classes, and Dual Cross-Attention: the weights of a
    plain model go into the same model with DCA, whose module starts anew, and
    back. Anything else that does not fit is an error, and no weight is
    changed then.

    Files are read as numbers: whatever code one may hold is never run.

    Args:
        model: A built `keras.Model`, such as one of the zoo's.
        source: A run's folder (the epoch that was best), a `.keras` or
            `.weights.h5` file, a published `.pth`, `.pt` or `.safetensors`
            file (see `dca_keras.reference`: all of it must fit), or
            "hf://USER/NAME", a repository on the Hugging Face Hub.

    Returns:
        A `Loaded`, which says what was loaded and what starts anew.

    Raises:
        ValueError: If there is no such file, it can't be read, or something
            does not fit; the message lists it.
        ImportError: If reading it takes a package that is not installed.
    """
    path = find_file(source)
    if path.suffix in PUBLISHED:
        return _load_published(model, path)
    with tempfile.TemporaryDirectory() as folder:
        # Keras's own file of the model says which array goes where.
        own = Path(folder, "own.weights.h5")
        model.save_weights(own)
        with open_arrays(path) as theirs, h5py.File(own, "r+") as file:
            ours = by_key(file)
            loaded = _match(model, ours, theirs, path)
            taken = set(loaded.layers)
            for key, array in ours.items():
                if key[0] in taken:
                    array[...] = theirs[key][()]
        model.load_weights(own)
    return loaded


def _load_published(model, path):
    modules = {
        layer.name
        for layer in model.layers
        if isinstance(layer, DualCrossAttention)
    }
    pairs = fit_reference_weights(
        model, path, may_differ=modules | _head_names(model)
    )
    for variable, array in pairs:
        variable.assign(array)
    layers = dict.fromkeys(w.path.partition("/")[0] for w in model.weights)
    taken = {variable.path.partition("/")[0] for variable, _ in pairs}
    return Loaded(
        path,
        tuple(name for name in layers if name in taken),
        tuple(name for name in layers if name not in taken),
        (),
    )


def _match(model, ours, theirs, path):
    """Return what can be loaded; `ValueError` for what does not fit."""
    misfits = {
        key: fault
        for key in ours.keys() | theirs.keys()
        if (fault := _fault(ours.get(key), theirs.get(key)))
    }
    may_differ = _other_heads(model, misfits)
    modules = _modules(ours), _modules(theirs)
    if any(modules) and not all(modules):
        # A few architectures have one layer more with the module, or fewer.
        may_differ |= _whole_layers(ours, theirs)
    wrong = sorted(
        f"{'/'.join(key)} {fault}"
        for key, fault in misfits.items()
        if key[0] not in may_differ
    )
    layers = {key[0]: None for key in ours}
    new = {key[0] for key in misfits} & layers.keys()
    if wrong or new == layers.keys():
        more = [f"and {len(wrong) - SHOWN} more"] * (len(wrong) > SHOWN)
        lines = wrong[:SHOWN] + more or ["nothing in it is of this model"]
        raise ValueError(
            f"{path} does not fit {model.name}; no weight was changed.\n- "
            + "\n- ".join(lines)
        )
    return Loaded(
        path,
        tuple(name for name in layers if name not in new),
        tuple(name for name in layers if name in new),
        tuple(sorted({key[0] for key in theirs} - layers.keys())),
    )


def _fault(own, other):
    """Return what keeps an array from being loaded, if anything does."""
    if other is None:
        return "is missing"
    if own is None:
        return "is unexpected"
    if own.shape != other.shape:
        return f"has the shape {other.shape}, not {own.shape}"
    return None


def _modules(arrays):
    """Return the names of the Dual Cross-Attention layers."""
    return {
        key[0]
        for key, array in arrays.items()
        if is_of_class(array, "dual_cross_attention")
    }


def _whole_layers(ours, theirs):
    """Return the names of the layers that one side has and the other not."""
    return {key[0] for key in ours} ^ {key[0] for key in theirs}


def _other_heads(model, misfits):
    """Return the names of the heads that are for other classes.

    All their arrays are there, with other shapes.
    """
    return {
        name
        for name in _head_names(model)
        if all(
            "shape" in fault for key, fault in misfits.items() if key[0] == name
        )
    }


def _head_names(model):
    return {layer.name for tensor in model.outputs for layer in _heads(tensor)}


def _heads(tensor):
    """Yield the last layers with weights before a model's output."""
    layer, index, _ = tensor._keras_history
    if layer.weights:
        yield layer
    else:
        for before in layer._inbound_nodes[index].input_tensors:
            yield from _heads(before)
