"""Architectures by their names: ours, and a user's own."""

import functools
import inspect
from collections.abc import Callable

import keras

from dca_keras._registry import Registry
from dca_keras.weights import load_weights, shipped_arguments

_MODELS = Registry("model")
_UNLISTED = set()
_POSITIONAL = ("input_shape", "num_classes")
_COMMON = (*_POSITIONAL, "dca", "activation", "name", "dtype")
# Indented as it stands in the builders' docstrings.
_COMMON_ARGUMENTS = """\
input_shape: `(height, width, channels)`, or `(depth, height, width,
            channels)` for the 3-D model: channels come last, whatever
            `keras.config.image_data_format()` says. Sides may be `None` and
            need not be equal; known ones are multiples of what the poolings
            divide by.
        num_classes: 1 for one foreground class, otherwise the number of
            classes with the background.
        dca: `True` for the paper's Dual Cross-Attention on the skips,
            `False` for the plain baseline, or a `DCAConfig`.
        activation: Activation of the head. "auto" is sigmoid for one class
            and softmax for more; `None` returns logits.
        name: Name of the model.
        dtype: Dtype policy such as "mixed_float16". The head computes in
            float32 under the mixed ones.
        weights: Weights to start from, see
            `dca_keras.weights.load_weights`; `None` for initial values. With
            one of `list_weights()`, arguments that are not given are those
            that it was trained with."""


def register_model(
    builder: Callable[..., keras.Model], *, listed: bool = True
) -> Callable[..., keras.Model]:
    """Register a function that builds an architecture, under its own name.

    `list_models` and `create_model` then know it, and so do a recipe and the
    command: `dca-keras train --plugin my_module --model my_net`.
    `dca_keras.zoo.scaffold` and `dca_keras.blocks` have what the package's
    own architectures are built from.

    Args:
        builder: Function `(input_shape=…, num_classes=…, *, dca=…,
            activation=…, name=…, dtype=…)` that returns a `keras.Model`, with
            any further arguments of its own; each has a default value. The
            words `{common_arguments}` in its docstring are replaced by the
            description of the six, and of `weights`.
        listed: Whether `list_models` names it where it is not asked for all.

    Returns:
        The builder, which takes `weights` as well.

    Raises:
        ValueError: If the builder lacks one of these arguments, if an
            argument has no default value, or if the name is taken.

    Example:

    ```python
    @register_model
    def my_net(input_shape=(224, 224, 3), num_classes=1, *, dca=True,
               activation="auto", name=None, dtype=None):
        scaffold.check_arguments(
            input_shape, num_classes, dca, stride=2, num_skips=2
        )
        with scaffold.dtype_scope(dtype):
            inputs = keras.Input(input_shape)
            fine = blocks.conv_norm_relu(inputs, 16, "fine")
            coarse = blocks.max_pool(fine, "pool")
            coarse = blocks.conv_norm_relu(coarse, 32, "coarse")
            fine, coarse = scaffold.cross_attend([fine, coarse], dca)
            coarse = blocks.upsample(coarse, "up")
            x = blocks.concatenate([fine, coarse], "concat")
            outputs = scaffold.head(x, num_classes, activation)
        name = scaffold.model_name("my_net", name, dca)
        return keras.Model(inputs, outputs, name=name)
    ```
    """
    _check_signature(builder)
    if builder.__doc__:  # none under python -OO
        builder.__doc__ = builder.__doc__.replace(
            "{common_arguments}", _COMMON_ARGUMENTS
        )
    builder = _with_weights(builder)
    _MODELS.add(builder.__name__, builder)
    if not listed:
        _UNLISTED.add(builder.__name__)
    return builder


def list_models(all: bool = False) -> list[str]:
    """Return the names that `create_model` knows, a list of strings.

    Args:
        all: Whether also "unet_with", which is no architecture of its own: it
            takes the name of a `backbone`.
    """
    return [name for name in _MODELS.names() if all or name not in _UNLISTED]


def create_model(name: str, /, *args, **kwargs) -> keras.Model:
    """Build the architecture `name` with its builder's arguments.

    Args:
        name: One of `list_models(all=True)`.
        *args: Arguments of the builder.
        **kwargs: Arguments of the builder, its own `name` among them.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: If there is no such architecture.
    """
    return _MODELS.get(name)(*args, **kwargs)


def takes_argument(name: str, argument: str) -> bool:
    """Whether the builder of the architecture `name` takes an argument.

    Args:
        name: One of `list_models()`.
        argument: Name of an argument, such as "filters".

    Raises:
        ValueError: If there is no such architecture.
    """
    parameters = inspect.signature(_MODELS.get(name)).parameters
    return argument in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD
        for parameter in parameters.values()
    )


def _with_weights(builder):
    """Return a builder that takes `weights` as well, if it doesn't yet."""
    signature = inspect.signature(builder)
    if "weights" in signature.parameters:
        return builder

    @functools.wraps(builder)
    def build(*args, weights=None, **kwargs):
        if weights is None:
            return builder(*args, **kwargs)
        given = signature.bind_partial(*args, **kwargs).arguments
        trained = shipped_arguments(weights, builder.__name__)
        missing = {k: v for k, v in trained.items() if k not in given}
        model = builder(*args, **kwargs, **missing)
        load_weights(model, weights)
        return model

    weights = inspect.Parameter(
        "weights", inspect.Parameter.KEYWORD_ONLY, default=None
    )
    before = list(signature.parameters.values())
    after = [before.pop()] if before[-1].kind is before[-1].VAR_KEYWORD else []
    build.__signature__ = signature.replace(
        parameters=[*before, weights, *after]
    )
    return build


def _check_signature(builder):
    parameters = inspect.signature(builder).parameters
    named = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind
        not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    missing = [name for name in _COMMON if name not in named]
    bare = [
        name
        for name, parameter in named.items()
        if parameter.default is parameter.empty
    ]
    if missing or bare or tuple(named)[:2] != _POSITIONAL:
        problem = f"Received first: {', '.join(list(named)[:2])}"
        if missing or bare:
            kind = "Missing" if missing else "Without a default value"
            problem = f"{kind}: {', '.join(missing or bare)}"
        raise ValueError(
            f"The builder `{builder.__name__}` must take the arguments "
            f"{', '.join(_COMMON)}, the first two in this order, and each of "
            f"its arguments must have a default value. {problem}."
        )
