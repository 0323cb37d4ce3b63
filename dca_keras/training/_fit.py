"""Fitting a recipe's model, on one device or on many."""

import contextlib
import functools
import math

import keras

from dca_keras.data import make_dataset
from dca_keras.data.pipeline import open_crops
from dca_keras.metrics import DiceScore, IoU
from dca_keras.training import strategies
from dca_keras.training._replicas import fit_replicas
from dca_keras.training._validation import ValidateInWindows, make_predictor
from dca_keras.training.callbacks import ShowProgress


def open_strategy(recipe, devices, strategy=None):
    """Return a recipe's strategy; `None` for a single device.

    Args:
        recipe: A `Recipe`.
        devices: Names for the strategy, see `strategies.open_strategy`.
        strategy: The strategy, if it is open already.
    """
    if recipe.strategy == "single":
        if devices:
            raise ValueError("`devices` need `strategy` mirrored.")
        return None
    if recipe.dtype == "mixed_float16" and keras.backend.backend() != "jax":
        raise ValueError(
            "`dtype` mixed_float16 needs `strategy` single, because its loss "
            "scaling is not spread over devices. Use mixed_bfloat16."
        )
    if strategy is None:
        strategy = strategies.open_strategy(recipe.strategy, devices)
    count = strategies.count_devices(strategy)
    if recipe.batch_size % count:
        raise ValueError(
            f"`batch_size` must be a multiple of the {count} devices. "
            f"Received: {recipe.batch_size}"
        )
    return strategy


def scope(strategy):
    """Return the scope to create variables in."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def count_steps(recipe, splits):
    """Return the steps of an epoch."""
    return math.ceil(len(splits.train) / recipe.batch_size)


def compile_model(model, loss, optimizer):
    """Return a model on the same weights, ready to be trained.

    The model itself is never compiled, so that its file holds no optimizer
    and no loss: a third of the size.
    """
    training_model = keras.Model(model.inputs, model.outputs)
    # Built here, the step is traced once; built by `fit`, twice.
    optimizer.build(training_model.trainable_variables)
    training_model.compile(
        optimizer=optimizer, loss=loss, metrics=_make_metrics()
    )
    return training_model


def _make_metrics():
    return [DiceScore(per_image=True), IoU(per_image=True)]


def fit(
    training_model,
    recipe,
    splits,
    strategy,
    callbacks,
    *,
    initial_epoch,
    last_epoch,
    console,
):
    """Fit a compiled model to a recipe's data, from an epoch to another."""
    steps = count_steps(recipe, splits)
    train_data = make_dataset(
        splits.train,
        recipe.image_size,
        recipe.batch_size,
        sampling=recipe.sampling,
        num_classes=recipe.num_classes,
        shuffle=True,
        augment=recipe.augment,
        augment_intensity=recipe.augment_intensity,
        seed=recipe.seed,
        cache=recipe.cache_of("train"),
        epochs=range(initial_epoch, last_epoch),
    )
    if recipe.sampling == "crop":
        val_data = None
        validate = _validate_in_windows(
            training_model, recipe, splits, strategy
        )
        callbacks = [validate, *callbacks]
    else:
        val_data = make_dataset(
            splits.val,
            recipe.image_size,
            recipe.batch_size,
            cache=recipe.cache_of("val"),
        )
    fit_model, words = training_model.fit, {"verbose": 0, "shuffle": False}
    if isinstance(strategy, keras.distribution.DataParallel):
        count = strategies.count_devices(strategy)
        train_data = strategies.make_even(train_data, count, None)
        if val_data is not None:
            val_data = strategies.make_even(val_data, count, len(splits.val))
    elif strategy is not None:
        fit_model = functools.partial(fit_replicas, strategy, training_model)
        words = {"metrics": _make_metrics()}
    progress = ShowProgress(
        console, recipe.epochs, steps, initial_epoch, recipe.monitor
    )
    with scope(strategy), progress:
        fit_model(
            train_data,
            validation_data=val_data,
            epochs=last_epoch,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps,
            callbacks=[*callbacks, progress],
            **words,
        )


def _validate_in_windows(training_model, recipe, splits, strategy):
    crops = open_crops(
        splits.val,
        recipe.image_size,
        num_classes=recipe.num_classes,
        cache=recipe.cache_of("val"),
    )
    predictor = make_predictor(training_model, strategy)
    return ValidateInWindows(predictor, crops, training_model.loss)
