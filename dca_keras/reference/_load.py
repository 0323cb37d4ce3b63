"""From a published checkpoint to a model's variables, all or none."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import keras
import numpy as np

from dca_keras.layers import DualCrossAttention
from dca_keras.reference._names import PUBLISHED_ATTENTION
from dca_keras.reference._reading import read_arrays
from dca_keras.reference._slots import find_slots, known_extras, second_names


def load_reference_weights(
    model: keras.Model | DualCrossAttention, state_dict: Mapping | str | Path
) -> keras.Model | DualCrossAttention:
    """Load the weights of the published PyTorch code into a model.

    The model then computes what the published one computes. No weight is
    changed unless all of them fit: names and shapes are checked first. A
    published checkpoint also holds tensors that cannot change the output, and
    tensors under two names; these are known and may be there or not. Any other
    name is refused.

    Args:
        model: One of the zoo's models, or a built `DualCrossAttention` for
            the published module's own names.
        state_dict: A mapping from the published names to arrays or CPU
            tensors, or the path of a `.safetensors`, `.pth` or `.pt` file. A
            mapping `{"model_state_dict": …}`, as the published trainer saves
            it, is unwrapped. PyTorch files are read with `weights_only=True`,
            so a file that would run code is refused.

    Returns:
        The model.

    Raises:
        ValueError: If the model is none of these, the file cannot be read, or
            names or shapes do not fit; the message lists every missing,
            unexpected and misshapen name.
        ImportError: If reading the file takes a package that is not
            installed; the message names the extra.

    Reference:
        The code linked in the abstract of
        [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    for variable, array in fit_reference_weights(model, state_dict):
        variable.assign(array)
    return model


def fit_reference_weights(
    model: keras.Model | DualCrossAttention,
    state_dict: Mapping | str | Path,
    *,
    may_differ: Iterable[str] = (),
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Return the arrays that published weights have for a model's variables.

    Args:
        model: As in `load_reference_weights`.
        state_dict: As in `load_reference_weights`.
        may_differ: Names of layers that keep their weights where the
            checkpoint has none for them, or has others in shape, such as
            "head" for other classes. If there are any, the checkpoint may
            also hold a Dual Cross-Attention that the model has not.

    Returns:
        A list of pairs of a variable and its array, in our layout.

    Raises:
        ValueError: As in `load_reference_weights`.
        ImportError: As in `load_reference_weights`.
    """
    slots = find_slots(model)
    arrays = read_arrays(state_dict)
    if may_differ:
        slots, arrays = _leave_out(slots, arrays, set(may_differ))
    values = _match(slots, arrays)
    return [(slot.variable, values[slot.name]) for slot in slots]


def _leave_out(slots, arrays, may_differ):
    """Return slots and arrays without the layers that start anew."""
    unfit = {}
    for slot in slots:
        found = arrays.get(slot.name)
        fits = found is not None and found.shape == slot.shape
        unfit.setdefault(slot.layer, []).append(not fits)
    new = {name for name in may_differ if all(unfit.get(name, ()))}
    left = {slot.name for slot in slots if slot.layer in new}
    known = {slot.name for slot in slots}
    arrays = {
        name: array
        for name, array in arrays.items()
        if name not in left
        and (name in known or not name.startswith(PUBLISHED_ATTENTION))
    }
    return [slot for slot in slots if slot.layer not in new], arrays


def _match(slots, arrays):
    """Return our arrays by published name, or raise one error for all."""
    expected = {slot.name: slot.shape for slot in slots}
    known = {**expected, **known_extras(slots)}
    aliases = second_names(known)
    known |= {alias: known[name] for alias, name in aliases.items()}
    problems = {
        "Missing": [name for name in expected if name not in arrays],
        "Unexpected": [name for name in arrays if name not in known],
        "Misshapen": [
            f"{name} {array.shape} instead of {known[name]}"
            for name, array in arrays.items()
            if name in known and array.shape != known[name]
        ],
    }
    if not any(problems.values()):
        problems["Unequal though one tensor"] = [
            f"{alias} and {name}"
            for alias, name in aliases.items()
            if alias in arrays
            and name in arrays
            and not np.array_equal(arrays[alias], arrays[name])
        ]
    if any(problems.values()):
        raise ValueError(
            "`state_dict` does not fit the model; no weight was changed.\n"
            + "\n".join(
                f"{kind}: {', '.join(names)}."
                for kind, names in problems.items()
                if names
            )
        )
    return {slot.name: slot.convert(arrays[slot.name]) for slot in slots}
