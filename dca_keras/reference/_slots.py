"""What the published code calls our variables, and how it lays them out."""

import dataclasses
import re

import numpy as np

from dca_keras.layers import DualCrossAttention
from dca_keras.reference._names import MODULE_RULES, RULES, published_module

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


@dataclasses.dataclass(frozen=True)
class Slot:
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


def find_slots(model):
    """Return a `Slot` for every variable of a model or an attention module.

    Raises:
        ValueError: If the published code has no such model.
    """
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
        slots.append(Slot(variable, name, _published_shape(variable, name)))
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


def known_extras(slots):
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


def second_names(names):
    """Return second names: ResUnet++'s gates register their norms twice."""
    aliases = {}
    for number, part in (("1", "encoder"), ("2", "decoder"), ("3", "attn")):
        for name in names:
            found = re.fullmatch(rf"(attn\d+)\.conv_{part}\.0\.(\w+)", name)
            if found:
                aliases[f"{found[1]}.norm{number}.{found[2]}"] = name
    return aliases
