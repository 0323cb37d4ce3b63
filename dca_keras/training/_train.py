"""Training: from a recipe to a folder with a model and its scores."""

import contextlib

import keras
from rich.console import Console

from dca_keras._checkpoint import restore
from dca_keras._files import replace_file, write_json
from dca_keras.data import check_batch, make_dataset
from dca_keras.evaluation import evaluate_run
from dca_keras.run import Checkpoint, Run
from dca_keras.training import strategies
from dca_keras.training._fit import (
    compile_model,
    count_steps,
    fit,
    open_strategy,
    scope,
)
from dca_keras.training._optimization import make_loss, make_optimizer
from dca_keras.training._state import (
    check_folder,
    describe_run,
    find_state,
    use_previous,
)
from dca_keras.training._usable import read_usable
from dca_keras.training.callbacks import KeepRun, StopEarly, is_stale


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
    strategy = open_strategy(recipe, devices)
    writes = strategy is None or strategies.is_chief(strategy)
    if writes:
        check_folder(run, overwrite or resume)
    model, loss = _build(recipe, strategy)
    splits = _read_splits(recipe, model, console)
    record = describe_run(recipe, splits)
    state = find_state(run, record) if resume else Checkpoint([])
    if recipe.strategy == "multi_worker":
        strategies.check_agreement(strategy, len(state.epochs))
    if writes:
        _prepare_folder(run, record, state, console)
    with scope(strategy):
        optimizer = make_optimizer(recipe, count_steps(recipe, splits))
        training_model = compile_model(model, loss, optimizer)
    variables = [*training_model.variables, *optimizer.variables]
    if state.arrays is not None:
        restore(variables, state.arrays)
    rows, monitor = state.epochs, recipe.monitor
    keep = KeepRun(model, variables, run if writes else None, rows, monitor)
    callbacks = [keep, StopEarly(rows, monitor, recipe.patience)]
    if tensorboard and writes:
        callbacks.append(_open_tensorboard(run, model, splits, recipe))
    with _saying_how_to_go_on(run, console):
        keep.publish()
        done = is_stale(rows, monitor, recipe.patience)
        if not done and len(rows) < recipe.epochs:
            fit(
                training_model,
                recipe,
                splits,
                strategy,
                callbacks,
                initial_epoch=len(rows),
                console=console,
            )
    if not writes:
        return None
    with replace_file(run.path("last_model")) as temporary:
        model.save(temporary)
    return evaluate_run(run.folder, console=console)


def _build(recipe, strategy):
    """Return a recipe's model and its loss; its optimizer is tried as well.

    It is done before the data is read, so that mistakes are found at once.
    """
    loss = make_loss(recipe)
    make_optimizer(recipe, steps_per_epoch=1)
    keras.utils.set_random_seed(recipe.seed)
    with scope(strategy):
        model = recipe.build_model()
    if recipe.sync_batch_norm:
        strategies.synchronize_batch_norm(model)
    return model, loss


def _read_splits(recipe, model, console):
    """Read the data set's usable samples, and check a first batch."""
    splits = read_usable(recipe, console)
    first = splits.train[: recipe.batch_size]
    check_batch(
        make_dataset(
            first,
            recipe.image_size,
            len(first),
            sampling=recipe.sampling,
            num_classes=recipe.num_classes,
            cache=False,
        ),
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


def _open_tensorboard(run, model, splits, recipe):
    from dca_keras.training._tensorboard import TensorBoard

    folder = run.path("tensorboard")
    return TensorBoard(folder, model, splits.val, recipe.image_size)


@contextlib.contextmanager
def _saying_how_to_go_on(run, console):
    """On Ctrl-C, say what is there and how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(
            f"Stopped. The same command with --resume goes on; {run.folder} "
            "keeps the history and the best model of the finished epochs, and "
            f"`dca-keras evaluate {run.folder}` scores it.",
            soft_wrap=True,
        )
        raise
