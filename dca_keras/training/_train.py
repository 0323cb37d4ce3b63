"""Training: from a recipe to a folder with a model and its scores."""

import contextlib
import functools
import math

import keras
from rich.console import Console

from dca_keras._checkpoint import restore
from dca_keras._files import replace_file, write_json
from dca_keras.data import check_batch, make_dataset
from dca_keras.evaluation import evaluate_run
from dca_keras.metrics import DiceScore, IoU
from dca_keras.run import Checkpoint, Run
from dca_keras.training import strategies
from dca_keras.training._optimization import make_loss, make_optimizer
from dca_keras.training._replicas import fit_replicas
from dca_keras.training._state import (
    check_folder,
    describe_run,
    find_state,
    use_previous,
)
from dca_keras.training._usable import read_usable
from dca_keras.training.callbacks import (
    KeepRun,
    ShowProgress,
    StopEarly,
    is_stale,
)


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
    """Train a recipe's model and score it on the held-out test split.

    The folder that it makes, see `dca_keras.Run`, holds

    - `recipe.json`: the recipe, versions and hardware, and the names of the
      samples of each split,
    - `history.csv`: one line an epoch, readable at any moment,
    - `model.keras`: the model of the epoch with the best `recipe.monitor`;
      `last.keras`: the model of the last epoch,
    - `checkpoint.h5`: the state after the last finished epoch, and
      `checkpoint.previous.h5`, the one before. A run that is resumed,
      wherever it was killed, goes on as if it had never stopped,
    - the scores and pictures that `evaluate_run` makes.

    Python's, NumPy's and Keras's random generators are seeded.

    Args:
        recipe: A `Recipe`.
        output: The folder to make; with several workers one that all see.
        overwrite: Whether a run that is already there may be replaced. It is
            kept until model and data have been found in order.
        resume: Whether to go on with the run that is there; where there is
            none, one is begun. If its checkpoint is damaged, the one before
            is used, and the console says so.
        devices: Names for the strategy, see `strategies.open_strategy`.
        tensorboard: Whether to write scores and pictures for TensorBoard into
            the folder `tensorboard` of the run.
        console: The `rich` console for the progress; `None` is the terminal.

    Returns:
        What `evaluate_run` returns; `None` for a worker that is not the first.

    Raises:
        ValueError: If the folder holds a run, or one of another recipe or
            other images; if model, loss, optimizer or strategy can't be made,
            or the data set can't be read. Nothing is written then.
        ConnectionError: If another worker stops.
    """
    run = Run(output)
    console = console or Console(stderr=True)
    strategy = _open_strategy(recipe, devices)
    writes = strategy is None or strategies.is_chief(strategy)
    if writes:
        check_folder(run, overwrite or resume)
    # Before the data, so that mistakes are found at once.
    loss = make_loss(recipe)
    make_optimizer(recipe, steps_per_epoch=1)
    keras.utils.set_random_seed(recipe.seed)
    with _scope(strategy):
        model = recipe.build_model()
    if recipe.sync_batch_norm:
        strategies.synchronize_batch_norm(model)
    splits = _read_splits(recipe, model, console)
    record = describe_run(recipe, splits)
    state = find_state(run, record) if resume else Checkpoint([])
    if recipe.strategy == "multi_worker":
        strategies.check_agreement(strategy, len(state.epochs))
    if writes:
        _prepare_folder(run, record, state, console)
    with _scope(strategy):
        training_model = _compile(
            model, loss, make_optimizer(recipe, _count_steps(recipe, splits))
        )
    variables = [*training_model.variables, *training_model.optimizer.variables]
    if state.arrays is not None:
        restore(variables, state.arrays)
    rows, stop = state.epochs, (recipe.monitor, recipe.patience)
    keep = KeepRun(
        model, variables, run if writes else None, rows, recipe.monitor
    )
    callbacks = [keep, StopEarly(rows, *stop)]
    if tensorboard and writes:
        callbacks.append(_open_tensorboard(run, model, splits, recipe))
    try:
        keep.publish()
        if not is_stale(rows, *stop) and len(rows) < recipe.epochs:
            _fit(
                training_model,
                recipe,
                splits,
                callbacks,
                len(rows),
                strategy,
                console,
            )
    except KeyboardInterrupt:
        console.print(
            f"Stopped. The same command with --resume goes on; {run.folder} "
            "keeps the history and the best model of the finished epochs, and "
            f"`dca-keras evaluate {run.folder}` scores it.",
            soft_wrap=True,
        )
        raise
    if not writes:
        return None
    with replace_file(run.path("last_model")) as temporary:
        model.save(temporary)
    return evaluate_run(run.folder, console=console)


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


def _read_splits(recipe, model, console):
    """Read the data set's usable samples, and look at a first batch."""
    splits = read_usable(recipe, console)
    first = splits.train[: recipe.batch_size]
    check_batch(
        make_dataset(first, recipe.image_size, len(first), cache=False),
        num_classes=recipe.num_classes,
        model=model,
    )
    return splits


def _prepare_folder(run, record, state, console):
    if state.arrays is None:
        for path in run.files():
            path.unlink()
    elif state.damage:
        use_previous(run, state, console)
    write_json(run.path("recipe"), record)


def _count_steps(recipe, splits):
    """Return the steps of an epoch."""
    return math.ceil(len(splits.train) / recipe.batch_size)


def _compile(model, loss, optimizer):
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


def _open_tensorboard(run, model, splits, recipe):
    from dca_keras.training._tensorboard import TensorBoard

    folder = run.path("tensorboard")
    return TensorBoard(folder, model, splits.val, recipe.image_size)


def _fit(
    training_model, recipe, splits, callbacks, initial_epoch, strategy, console
):
    steps = _count_steps(recipe, splits)
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
    fit, words = training_model.fit, {"verbose": 0, "shuffle": False}
    if isinstance(strategy, keras.distribution.DataParallel):
        count = strategies.count_devices(strategy)
        train_data = strategies.make_even(train_data, count, None)
        val_data = strategies.make_even(val_data, count, len(splits.val))
    elif strategy is not None:
        fit = functools.partial(fit_replicas, strategy, training_model)
        words = {"metrics": _make_metrics()}
    progress = ShowProgress(
        console, recipe.epochs, steps, initial_epoch, recipe.monitor
    )
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
