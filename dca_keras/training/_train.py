"""Training: from a recipe to a folder with a model and its scores."""

import contextlib
import functools
import math
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

from dca_keras._checkpoint import restore
from dca_keras._files import replace_file, write_json
from dca_keras.data import make_dataset, resize_image, resize_mask
from dca_keras.evaluation import evaluate_run
from dca_keras.metrics import DiceScore, IoU
from dca_keras.plotting import draw_outlines
from dca_keras.prediction import predict, to_mask
from dca_keras.run import (
    check_output,
    describe_run,
    find_state,
    run_files,
)
from dca_keras.training import strategies
from dca_keras.training._optimization import make_loss, make_optimizer
from dca_keras.training._replicas import fit_replicas
from dca_keras.training._usable import read_usable
from dca_keras.training.callbacks import (
    KeepRun,
    ShowProgress,
    StopEarly,
    TensorBoard,
    is_stale,
)

PANELS = 4  # images in TensorBoard's picture


def train(
    recipe,
    output,
    *,
    overwrite=False,
    resume=False,
    devices=None,
    tensorboard=False,
    console=None,
):
    """Trains a recipe's model and scores it on the held-out test part.

    The folder that comes of it holds

    - `recipe.json`: the recipe, versions and hardware, and the names of the
      samples of each part,
    - `history.csv`: one line an epoch, readable at any moment,
    - `model.keras`: the model of the epoch with the best mean Dice on the
      validation part; `last.keras`: the model of the last epoch,
    - `checkpoint.h5`: the state after the last finished epoch. A run that is
      taken up again from it, wherever it was killed, goes on as if it had
      never stopped,
    - the scores and pictures that `evaluate_run` makes.

    Python's, NumPy's and Keras's random generators are seeded.

    Args:
        recipe: A `Recipe`.
        output: The folder to make; with several workers one that all see.
        overwrite: Whether a run that is already there may be replaced. It is
            kept until model and data have been found in order.
        resume: Whether to go on with the run that is there; where there is
            none, one is begun.
        devices: Names for the strategy, see `strategies.open_strategy`.
        tensorboard: Whether to write scores and pictures for TensorBoard into
            the folder `tensorboard` of the run.
        console: The `rich` console for the progress; `None` is the terminal.

    Returns:
        What `evaluate_run` returns; `None` for a worker that is not the first.

    Raises:
        ValueError: If the folder holds a run, or one of another recipe or
            other images; if the architecture can't be built so, the strategy
            can't be had, or the dataset can't be read. Nothing is written
            then.
        ConnectionError: If another worker stops.
    """
    output = Path(output)
    console = console or Console(stderr=True)
    strategy = _open_strategy(recipe, devices)
    writes = strategy is None or strategies.is_chief(strategy)
    if writes:
        check_output(output, overwrite or resume)
    keras.utils.set_random_seed(recipe.seed)
    # Before the data, so that mistakes are found at once.
    loss = make_loss(recipe)
    make_optimizer(recipe, steps_per_epoch=1)
    with _scope(strategy):
        model = recipe.build_model()
    if recipe.sync_batch_norm:
        strategies.synchronize_batch_norm(model)
    splits = read_usable(recipe, console)
    record = describe_run(recipe, splits)
    rows, arrays = find_state(output, record) if resume else ([], None)
    if recipe.strategy == "multi_worker":
        strategies.check_agreement(strategy, len(rows))
    if writes:
        if arrays is None:
            for path in run_files(output):
                path.unlink()
        write_json(output / "recipe.json", record)
    with _scope(strategy):
        twin = _compile_twin(model, recipe, loss, _steps(recipe, splits))
    variables = [*twin.variables, *twin.optimizer.variables]
    if arrays is not None:
        restore(variables, arrays)
    keep = KeepRun(model, variables, output if writes else None, rows)
    callbacks = [keep, StopEarly(rows, recipe.patience)]
    if tensorboard and writes:
        draw = _panel_drawer(model, splits.val, recipe.image_size)
        callbacks.append(TensorBoard(output / "tensorboard", draw))
    try:
        keep.publish()
        if not is_stale(rows, recipe.patience) and len(rows) < recipe.epochs:
            _fit(twin, recipe, splits, callbacks, len(rows), strategy, console)
    except KeyboardInterrupt:
        console.print(
            f"Stopped. The same command with --resume goes on; {output} keeps "
            "the history and the best model of the finished epochs, and "
            f"`dca-keras evaluate {output}` scores it.",
            soft_wrap=True,
        )
        raise
    if not writes:
        return None
    with replace_file(output / "last.keras") as temporary:
        model.save(temporary)
    return evaluate_run(output, console=console)


def _open_strategy(recipe, devices):
    if recipe.strategy == "single":
        if devices:
            raise ValueError("`devices` need `strategy` mirrored.")
        return None
    if recipe.dtype == "mixed_float16" and keras.backend.backend() != "jax":
        raise ValueError(
            "`dtype` mixed_float16 needs `strategy` single, because its loss "
            "scaling is not spread over devices. Use mixed_bfloat16."
        )
    strategy = strategies.open_strategy(recipe.strategy, devices)
    count = strategies.count_devices(strategy)
    if recipe.batch_size % count:
        raise ValueError(
            f"`batch_size` must be a multiple of the {count} devices. "
            f"Received: {recipe.batch_size}"
        )
    return strategy


def _scope(strategy):
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def _steps(recipe, splits):
    """Steps of an epoch."""
    return math.ceil(len(splits.train) / recipe.batch_size)


def _fit(twin, recipe, splits, callbacks, initial_epoch, strategy, console):
    steps = _steps(recipe, splits)
    train_data = make_dataset(
        splits.train,
        recipe.image_size,
        recipe.batch_size,
        shuffle=True,
        augment=recipe.augment,
        seed=recipe.seed,
        cache=recipe.cache_of("train"),
        epochs=range(initial_epoch, recipe.epochs),
    )
    val_data = make_dataset(
        splits.val,
        recipe.image_size,
        recipe.batch_size,
        cache=recipe.cache_of("val"),
    )
    fit, words = twin.fit, {"verbose": 0, "shuffle": False}
    if isinstance(strategy, keras.distribution.DataParallel):
        count = strategies.count_devices(strategy)
        train_data = strategies.make_even(train_data, count, None)
        val_data = strategies.make_even(val_data, count, len(splits.val))
    elif strategy is not None:
        fit = functools.partial(fit_replicas, strategy, twin)
        words = {"metrics": _scores()}
    progress = ShowProgress(console, recipe.epochs, steps, initial_epoch)
    with _scope(strategy), progress:
        fit(
            train_data,
            validation_data=val_data,
            epochs=recipe.epochs,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps,
            callbacks=[*callbacks, progress],
            **words,
        )


def _compile_twin(model, recipe, loss, steps):
    """A model on the same weights, ready to be trained.

    The model itself is never compiled, so that its file holds no optimizer
    and no loss: a third of the size.
    """
    twin = keras.Model(model.inputs, model.outputs)
    optimizer = make_optimizer(recipe, steps)
    # Built here, the step is traced once; built by `fit`, twice.
    optimizer.build(twin.trainable_variables)
    twin.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=_scores(),
    )
    return twin


def _scores():
    return [DiceScore(per_image=True), IoU(per_image=True)]


def _panel_drawer(model, samples, image_size):
    """A function that draws a few images with true and predicted outlines."""
    shown = []
    for sample in samples[:PANELS]:
        image, mask = sample.load()
        mask = resize_mask(mask, image_size)[..., 0]
        shown.append((resize_image(image, image_size), mask))

    def draw(epoch):
        masks = [to_mask(predict(model, image)) for image, _ in shown]
        pictures = [
            draw_outlines(image, truth, mask)
            for (image, truth), mask in zip(shown, masks, strict=True)
        ]
        return np.concatenate(pictures, axis=1)

    return draw
