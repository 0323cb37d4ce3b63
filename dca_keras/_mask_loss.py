"""Find losses by name, and apply Keras's own to masks of class indices."""

import inspect
import json
import re

import keras
from keras import ops

from dca_keras import _overlap

# Losses that take class indices, and all that need several classes.
_SPARSE = (
    "SparseCategoricalCrossentropy",
    "sparse_categorical_crossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "categorical_generalized_cross_entropy",
)
_SEVERAL = (
    *_SPARSE,
    "CategoricalCrossentropy",
    "categorical_crossentropy",
    "CategoricalFocalCrossentropy",
    "categorical_focal_crossentropy",
)


def get(identifier: str | dict | keras.Loss) -> keras.Loss:
    """Return a loss that works on masks of class indices.

    Args:
        identifier: What `keras.losses.get` takes: a name, a dictionary of
            class and config, a loss or a function. Or such a dictionary as
            JSON text, or the short name of a registered loss: "DiceLoss" and
            "dice_loss" stand for "dca_keras>DiceLoss".

    Returns:
        A `keras.losses.Loss`: a `MaskLoss` for one of Keras's losses and for
        a function, and any other loss as it is.

    Raises:
        ValueError: If the loss is not known, or does not take the config.

    Example:

    >>> get('{"class_name": "Tversky", "config": {"alpha": 0.3, "beta": 0.7}}')
    >>> get("dice_cross_entropy")
    """
    loss = _find(identifier)
    if isinstance(loss, keras.losses.Loss) and not _is_of_keras(type(loss)):
        return loss
    return MaskLoss(loss)


@keras.saving.register_keras_serializable(package="dca_keras")
class MaskLoss(keras.losses.Loss):
    """Compute one of Keras's losses, or a function, on masks.

    Keras's losses get the targets they expect: 0 and 1 for one class, one-hot
    for several, or class indices if the loss is sparse. Your own functions
    get the masks as they are.

    A loss with a single value for the batch, such as `keras.losses.Tversky`,
    is repeated for every image. Otherwise Keras's own `fit` would multiply
    its gradient by the number of replicas under `tf.distribute`.

    Args:
        loss: A Keras loss or a function of `y_true` and `y_pred`, given as
            for `dca_keras.losses.get`.

    Call arguments:
        y_true: Masks as for `DiceLoss`.
        y_pred: Predictions `(batch, *spatial, channels)`.
    """

    def __init__(self, loss: keras.Loss) -> None:
        loss = _find(loss)
        words = {"name": getattr(loss, "__name__", "mask_loss")}
        if isinstance(loss, keras.losses.Loss):
            words = {
                key: getattr(loss, key)
                for key in ("name", "reduction", "dtype")
            }
        super().__init__(**words)
        self.loss = loss

    def call(self, y_true, y_pred):
        values = self.compute(y_true, y_pred)
        if len(values.shape) == 0:
            values = ops.broadcast_to(values, ops.shape(y_pred)[:1])
        return values

    def compute(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return what the loss returns, for each image or for the batch."""
        own = isinstance(self.loss, keras.losses.Loss)
        if _is_of_keras(type(self.loss) if own else self.loss):
            y_true, y_pred = self._prepare(y_true, y_pred)
        return (self.loss.call if own else self.loss)(y_true, y_pred)

    def _prepare(self, y_true, y_pred):
        y_pred = _overlap.to_float(y_pred)
        channels = y_pred.shape[-1]
        name = getattr(self.loss, "__name__", type(self.loss).__name__)
        if channels == 1 and name in _SEVERAL:
            raise ValueError(
                f"`{name}` needs a channel for every class, the background "
                "included. Received: `y_pred` of 1 channel. For one class "
                "take its binary counterpart."
            )
        ignored = getattr(self.loss, "ignore_class", None)
        masks, wrong = _overlap.read_masks(y_true, y_pred, ignored)
        # Makes the loss of these images NaN.
        wrong = ops.reshape(wrong, (-1, *[1] * (len(y_pred.shape) - 1)))
        y_pred = ops.where(wrong, float("nan"), y_pred)
        if name not in _SPARSE:
            return _overlap.class_maps(masks, channels), y_pred
        if masks.shape[-1] == channels:
            masks = ops.argmax(masks, axis=-1, keepdims=True)
        # On some devices an index that is no class ends the program.
        masks = ops.where(wrong, ops.zeros_like(masks), masks)
        return masks[..., 0], y_pred

    def get_config(self):
        if not isinstance(self.loss, keras.losses.Loss):
            return {"loss": keras.saving.get_registered_name(self.loss)}
        name = keras.saving.get_registered_name(type(self.loss))
        return {"loss": {"class_name": name, "config": self.loss.get_config()}}


def _is_of_keras(part):
    return part.__module__.split(".")[0] == "keras"


def _find(identifier):
    """Return the loss or the function that an identifier stands for."""
    if callable(identifier):
        return identifier() if inspect.isclass(identifier) else identifier
    name, config = _parse(identifier)
    losses = _losses()
    if name not in losses:
        there = (
            key
            for key, part in losses.items()
            if key == keras.saving.get_registered_name(part)
            and (inspect.isclass(part) or not _is_of_keras(part))
            and part is not MaskLoss  # what wraps the others
        )
        raise ValueError(
            f"There is no loss {name!r}. There are: "
            f"{', '.join(sorted(there, key=str.lower))}. One of yours must be "
            "registered by `keras.saving.register_keras_serializable`."
        )
    if not inspect.isclass(losses[name]):
        return losses[name]
    if isinstance(config.get("axis"), list):  # JSON has no tuples
        config = {**config, "axis": tuple(config["axis"])}
    try:
        return losses[name].from_config(config)
    except TypeError as error:
        raise ValueError(
            f"The loss {name!r} can't be made of such a config. Received: "
            f"{config}. Python says: {error}"
        ) from error


def _parse(identifier):
    """Return the name and the config of an identifier."""
    if isinstance(identifier, str) and identifier.lstrip().startswith("{"):
        try:
            identifier = json.loads(identifier)
        except json.JSONDecodeError as error:
            raise ValueError(
                "`loss` must be a name or JSON of a class and its config, "
                'such as {"class_name": "Tversky", "config": {"alpha": 0.3}}. '
                f"Received: {identifier}. JSON says: {error}"
            ) from error
    if isinstance(identifier, str):
        return identifier, {}
    if not isinstance(identifier, dict) or "class_name" not in identifier:
        raise ValueError(
            "`loss` must be a name, or a dictionary with `class_name` and "
            f"`config`. Received: {identifier!r}"
        )
    config = identifier.get("config") or {}
    if isinstance(config, str):  # as Keras serialises a function
        return config, {}
    return identifier.get("registered_name") or identifier["class_name"], config


def _losses():
    """Return all losses, classes and functions, by all of their names."""
    losses = {
        name: part
        for name, part in vars(keras.losses).items()
        if callable(part) and _is_of_keras(part)
    }
    for name in ("Loss", "deserialize", "get", "serialize"):
        del losses[name]
    for name, part in keras.saving.get_custom_objects().items():
        if inspect.isfunction(part) or (
            inspect.isclass(part) and issubclass(part, keras.losses.Loss)
        ):
            short = name.split(">")[-1]
            snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", short).lower()
            for key in (name, short, snake):
                losses.setdefault(key, part)
    return losses
