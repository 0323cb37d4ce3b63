"""A recipe's loss, optimizer and learning-rate schedule, as Keras has them."""

import keras
from keras import ops

from dca_keras import losses

SCHEDULES = {
    "constant": lambda rate, steps: rate,
    "cosine": keras.optimizers.schedules.CosineDecay,
    "polynomial": lambda rate, steps: (
        keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0, power=0.9)
    ),
}
# Of an optimizer's config, what a recipe has a field for.
FIELDS = {
    "learning_rate": "learning_rate",
    "weight_decay": "weight_decay",
    "global_clipnorm": "clip_norm",
}
# What Keras raises on names it doesn't know and on configs that don't fit.
WRONG = (ValueError, TypeError, LookupError, AttributeError)


def make_loss(recipe):
    """Return a recipe's loss, tried on predictions of the recipe's shape.

    Raises:
        ValueError: If there is no such loss, or it can't be computed.
    """
    config = recipe.loss.get("config", {}) if _is_dict(recipe.loss) else {}
    if config.get("from_logits"):
        raise ValueError(
            "`loss` must take probabilities, as models give them. Leave "
            "from_logits out of its config."
        )
    try:
        loss = losses.get(recipe.loss)
        shape = (1, *recipe.image_size, recipe.num_classes)
        mask = ops.zeros((*shape[:-1], 1), "int32")
        loss(mask, ops.full(shape, 1 / (1 + recipe.num_classes)))
    except WRONG as error:
        raise ValueError(
            "`loss` must be one that Keras or a plugin knows and that fits "
            f"{recipe.num_classes} classes. Received: {recipe.loss!r}. "
            f"Keras says: {error}"
        ) from error
    return loss


def make_optimizer(recipe, steps_per_epoch, first_epoch=0):
    """Return a recipe's optimizer with its learning-rate schedule.

    Args:
        recipe: The recipe.
        steps_per_epoch: Steps of an epoch.
        first_epoch: The epoch that the optimizer begins at; its schedule
            goes on from there.

    Raises:
        ValueError: If there is no such optimizer, or not with this config.
    """
    given = recipe.optimizer
    given = dict(given) if _is_dict(given) else {"class_name": given}
    config = dict(given.get("config", {}))
    for name, field in FIELDS.items():
        if name in config:
            raise ValueError(
                f"`optimizer` must leave {name} out of its config: "
                f"`{field}` says it."
            )
        value = getattr(recipe, field)
        if value is not None:
            config[name] = value
    rate = make_schedule(recipe, steps_per_epoch)
    if first_epoch and callable(rate):
        rate = GoOn(rate, first_epoch * steps_per_epoch)
    config["learning_rate"] = rate
    given |= {"class_name": _full_name(given["class_name"]), "config": config}
    try:
        optimizer = keras.optimizers.get(given)
    except WRONG as error:
        raise ValueError(
            "`optimizer` must be one that Keras or a plugin knows, such as "
            "adam, adamw or sgd, with a config that fits. Received: "
            f"{recipe.optimizer!r}. Keras says: {error}"
        ) from error
    if recipe.dtype == "mixed_float16":
        # `compile` does this only where the policy is the global one.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def make_schedule(recipe, steps_per_epoch):
    """Return a recipe's learning rate: a number, or a function of the step."""
    warm_up = recipe.warmup_epochs * steps_per_epoch
    rest = recipe.epochs * steps_per_epoch - warm_up
    rate = SCHEDULES[recipe.schedule](recipe.learning_rate, rest)
    return WarmUp(rate, warm_up) if warm_up else rate


@keras.saving.register_keras_serializable(package="dca_keras")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly, and then follows a schedule.

    Args:
        rate: The learning rate after that: a number or a Keras schedule.
        steps: Steps that it rises for; the last one has the whole rate.
    """

    def __init__(self, rate, steps):
        super().__init__()
        self.rate = rate
        self.steps = steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rate = self.rate
        if callable(rate):
            rate = rate(ops.maximum(step - self.steps, 0.0))
        return rate * ops.minimum((step + 1) / self.steps, 1.0)

    def get_config(self):
        return {"rate": self.rate, "steps": self.steps}


@keras.saving.register_keras_serializable(package="dca_keras")
class GoOn(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of which an earlier optimizer has taken the first steps.

    Args:
        rate: A Keras schedule.
        steps: Those steps.
    """

    def __init__(self, rate, steps):
        super().__init__()
        self.rate = rate
        self.steps = steps

    def __call__(self, step):
        return self.rate(step + self.steps)

    def get_config(self):
        return {"rate": self.rate, "steps": self.steps}


def _full_name(name):
    """The registered name of a class, which may be given without a package."""
    known = keras.saving.get_custom_objects()
    full = [one for one in known if one.rpartition(">")[2] == name]
    return full[0] if len(full) == 1 else name


def _is_dict(identifier):
    return isinstance(identifier, dict)
