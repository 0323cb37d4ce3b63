"""Load the published PyTorch checkpoints into our models."""

import collections.abc
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import keras
import numpy as np

from dca_keras._extras import import_extra
from dca_keras._reference_names import (
    MODULE_RULES,
    PUBLISHED_ATTENTION,
    RULES,
    published_module,
)
from dca_keras.layers import DualCrossAttention

_PARAMETERS = {
    "kernel": "weight",
    "scale": "weight",
    "gamma": "weight",
    "alpha": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


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
    slots = _find_slots(model)
    arrays = _read(state_dict)
    if may_differ:
        slots, arrays = _leave_out(slots, arrays, set(may_differ))
    values = _match(slots, arrays)
    return [(slot.variable, values[slot.name]) for slot in slots]


@dataclasses.dataclass(frozen=True)
class _Slot:
    """A variable of ours, its published name and how the array is laid out."""

    variable: object
    name: str
    shape: tuple  # as published

    @property
    def layer(self):
        """The name of the model's layer that the variable is in."""
        return self.variable.path.partition("/")[0]

    def convert(self, array):
        """Return the published array in our layout."""
        ours = tuple(self.variable.shape)
        if len(array.shape) > 1 and self.name.endswith("weight"):
            array = np.transpose(array, (*range(2, array.ndim), 1, 0))
        return array.reshape(ours)


# === Our side ===


def _find_slots(model):
    if isinstance(model, DualCrossAttention):
        if not model.built:
            raise ValueError(
                "`model` must be built before weights are loaded into it: call "
                "the DualCrossAttention layer on its skips once."
            )
        slots = _slots(model.weights, MODULE_RULES, f"{model.path}/")
        if slots:
            return slots
    else:
        for rules in RULES.values():
            slots = _slots(getattr(model, "weights", ()), rules)
            if slots:
                return slots
    raise ValueError(
        "`model` must be one of dca_keras.zoo's models or a built "
        "DualCrossAttention, without the options that the published code does "
        f"not have (`token_activation`). Received: {model!r}."
    )


def _slots(variables, rules, prefix=""):
    """Return a slot for every variable, or None if the rules miss one."""
    paths = [variable.path.removeprefix(prefix) for variable in variables]
    stages = [int(i) for i in re.findall(r"decoder_(\d+)_", " ".join(paths))]
    slots = []
    for variable, path in zip(variables, paths, strict=True):
        layer, _, kind = path.rpartition("/")
        module = published_module(layer, rules, max(stages, default=0))
        if module is None or kind not in _PARAMETERS:
            return None
        name = f"{module}.{_PARAMETERS[kind]}"
        slots.append(_Slot(variable, name, _published_shape(variable, name)))
    return slots


def _published_shape(variable, name):
    shape = tuple(variable.shape)
    if ".proj.depthwise." in name and name.endswith("weight"):
        return (*shape, 1, 1, 1)
    if "prelu" in name:
        return (1,)
    if ".upconvs." in f".{name}" and name.endswith("weight"):
        return (*shape[::-1], 1, 1)
    return (*shape[:-3:-1], *shape[:-2])


def _known_extras(slots):
    """Return shapes of what a checkpoint may hold besides our weights.

    Tensors that cannot change the output, by name: SCA's key biases (they
    cancel in the softmax), V-Net's first shortcut without DCA, the last batch
    norm of MultiResUNet's residual paths with DCA, and batch norms' counters.
    """
    shapes = {slot.name: slot.shape for slot in slots}
    extras = {}
    for name, shape in shapes.items():
        if ".s_attention." in f".{name}" and name.endswith(
            "k_map.proj.depthwise.weight"
        ):
            extras[name.replace("weight", "bias")] = shape[:1]
    if "conv1.conv_skip.weight" not in shapes and "conv2.down.bias" in shapes:
        width, channels = shapes["conv1.conv.weight"][:2]
        extras["conv1.conv_skip.weight"] = (width, channels, 1, 1)
        extras["conv1.conv_skip.bias"] = (width,)
    for name, shape in shapes.items():
        step = re.fullmatch(r"(respath\d+)\.convs\.(\d+)\.conv\.bias", name)
        if step:
            norm = f"{step[1]}.bns.{step[2]}"
            for kind in ("weight", "bias", "running_mean", "running_var"):
                extras[f"{norm}.{kind}"] = shape
    extras = {k: v for k, v in extras.items() if k not in shapes}
    for name in (*shapes, *extras):
        if name.endswith(".running_mean"):
            counter = name.replace("running_mean", "num_batches_tracked")
            extras[counter] = ()
    return extras


def _aliases(names):
    """Return second names: ResUnet++'s gates register their norms twice."""
    aliases = {}
    for number, part in (("1", "encoder"), ("2", "decoder"), ("3", "attn")):
        for name in names:
            found = re.fullmatch(rf"(attn\d+)\.conv_{part}\.0\.(\w+)", name)
            if found:
                aliases[f"{found[1]}.norm{number}.{found[2]}"] = name
    return aliases


# === The checkpoint's side ===


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
    known = {**expected, **_known_extras(slots)}
    aliases = _aliases(known)
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


def _read(source):
    """Read a mapping or a file as NumPy arrays by published name."""
    if not isinstance(source, collections.abc.Mapping):
        source = _read_file(pathlib.Path(source))
    if "model_state_dict" in source:
        source = source["model_state_dict"]
    if not isinstance(source, collections.abc.Mapping):
        raise ValueError(
            "A checkpoint must be a mapping from names to arrays. Received: "
            f"{type(source).__name__}."
        )
    return {str(name): _to_array(name, value) for name, value in source.items()}


def _to_array(name, value):
    if hasattr(value, "detach"):  # a PyTorch tensor
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
        if array.dtype != object:
            return array.astype("float32")
    except (TypeError, ValueError):
        pass
    raise ValueError(
        f"Every entry of `state_dict` must be an array. Received for {name!r}: "
        f"{type(value).__name__}."
    )


def _read_file(path):
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise ValueError(
            "A checkpoint's name must end in .safetensors, .pth or .pt. "
            f"Received: {str(path)!r}."
        )
    if not path.is_file():
        raise ValueError(f"There is no checkpoint {str(path)!r}.")
    read = (
        _safetensors_reader if path.suffix == ".safetensors" else _torch_reader
    )
    read = read()
    try:
        source = read(path)
    except Exception as error:
        raise ValueError(
            f"Could not read the checkpoint {str(path)!r}: {error}"
        ) from error
    if not isinstance(source, collections.abc.Mapping):
        raise ValueError(
            f"The checkpoint {str(path)!r} holds no mapping from names to "
            f"arrays but a {type(source).__name__}."
        )
    return source


def _safetensors_reader():
    return import_extra(
        "safetensors.numpy",
        extra="safetensors",
        purpose="Reading .safetensors files",
    ).load_file


def _torch_reader():
    torch = import_extra(
        "torch", extra="torch", purpose="Reading .pth and .pt files"
    )
    return lambda path: torch.load(path, map_location="cpu", weights_only=True)
