"""Training: from a recipe to a folder with a model and its scores."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import keras
from rich.console import Console

from dca_keras._files import replace_file, write_json
from dca_keras.data import Fingerprint, check_batch, make_dataset
from dca_keras.evaluation import evaluate_run
from dca_keras.recipe import Recipe
from dca_keras.run import Checkpoint, Run
from dca_keras.surgery import find_encoder
from dca_keras.training import strategies
from dca_keras.training._epochs import Epochs
from dca_keras.training._fit import open_strategy, scope
from dca_keras.training._minutes import resume_epochs
from dca_keras.training._optimization import make_loss, make_optimizer
from dca_keras.training._state import (
    check_fingerprint,
    check_folder,
    describe_run,
    find_state,
    use_previous,
)
from dca_keras.training._usable import open_dataset
from dca_keras.training._validation import make_predictor
from dca_keras.weights import load_weights


def train(
    recipe: Recipe,
    output: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    devices: Sequence[str] | None = None,
    strategy: object = None,
    tensorboard: bool = False,
    fingerprint: Fingerprint | None = None,
    console: Console | None = None,
) -> dict | None:
    """Train a recipe's model and score it on the held-out test split.

    The folder that it makes, see `dca_keras.Run`, holds

    - `recipe.json`: the recipe, versions and hardware, and the names of the
      samples of each split,
    - `fingerprint.json`: what was measured of the images, and how they are
      preprocessed; `classes.json`: which values or colours of the masks are
      which class. Each is there if there is something to say,
    - `history.csv`: one line an epoch, readable at any moment,
    - `model.keras`: the model of the epoch with the best `recipe.monitor`;
      `last.keras`: the model of the last epoch,
    - `checkpoint.h5`: the state after the last finished epoch, and
      `checkpoint.previous.h5`, the one before. A run that is resumed,
      wherever it was killed, goes on as if it had never stopped,
    - the scores and pictures that `evaluate_run` makes.

    With `recipe.minutes` the number of epochs is chosen when one has been
    timed, and noted in `recipe.json`; from then on the learning rate follows
    its schedule to the last of them.

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
        strategy: What that function returned, if the strategy is open
            already. It has to be before the backend computes anything.
        tensorboard: Whether to write scores and pictures for TensorBoard into
            the folder `tensorboard` of the run.
        fingerprint: What `dca_keras.data.measure` said of the data set; None
            to measure it where it is needed.
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
    strategy = open_strategy(recipe, devices, strategy)
    writes = strategy is None or strategies.is_chief(strategy)
    if writes:
        check_folder(run, overwrite or resume)
    model, loss = _build(recipe, strategy, console)
    encoder = _freeze(recipe, model)
    dataset = _open_dataset(recipe, model, fingerprint, console)
    timing = None
    if resume:
        recipe, timing = resume_epochs(run, recipe)
        check_fingerprint(run, dataset.fingerprint)
    record = describe_run(recipe, dataset.splits, timing)
    state = find_state(run, record) if resume else Checkpoint([])
    if recipe.strategy == "multi_worker":
        strategies.check_agreement(strategy, len(state.epochs))
    if writes:
        _prepare_folder(run, record, dataset, state, console)
    epochs = Epochs(
        *(run if writes else None, model, loss, dataset.splits),
        *(strategy, state.epochs, console, encoder),
    )
    if tensorboard and writes:
        predictor = make_predictor(model, strategy)
        splits = dataset.splits
        epochs.callbacks.append(
            _open_tensorboard(run, predictor, splits, recipe)
        )
    with _saying_how_to_go_on(run, console):
        if recipe.minutes is None or timing is not None:
            epochs.fit(recipe, state.arrays)
        else:
            epochs.fit_in_minutes(recipe, state.arrays)
    if not writes:
        return None
    with replace_file(run.path("last_model")) as temporary:
        model.save(temporary)
    return evaluate_run(run.folder, console=console)


def _build(recipe, strategy, console):
    """Return a recipe's model and its loss; its optimizer is tried as well.

    It is done before the data is read, so that mistakes are found at once.
    """
    loss = make_loss(recipe)
    make_optimizer(recipe, steps_per_epoch=1)
    keras.utils.set_random_seed(recipe.seed)
    with scope(strategy):
        model = recipe.build_model()
        if recipe.weights is not None:
            loaded = load_weights(model, recipe.weights)
            console.print(
                f"Starts from {loaded}.", soft_wrap=True, highlight=False
            )
    if recipe.sync_batch_norm:
        strategies.synchronize_batch_norm(model)
    return model, loss


def _freeze(recipe, model):
    """Freeze the encoder for good, or return its layers to do it for a while.

    Raises:
        ValueError: If it is asked for and the model has none.
    """
    if recipe.freeze is None:
        return ()
    try:
        encoder = [layer for layer in find_encoder(model) if layer.trainable]
    except ValueError as error:
        raise ValueError(
            f"`freeze` needs a model with an encoder. {error}"
        ) from error
    if recipe.freeze_epochs is not None:
        return encoder
    for layer in encoder:
        layer.trainable = False
    return ()


def _open_dataset(recipe, model, fingerprint, console):
    """Open the data set, and check a first batch."""
    dataset = open_dataset(recipe, console, fingerprint)
    first = dataset.splits.train[: recipe.batch_size]
    _check_rank(recipe, first[0])
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
    return dataset


def _check_rank(recipe, sample):
    rank = sample.load()[1].ndim - 1
    if len(recipe.image_size) != rank:
        raise ValueError(
            f"`image_size` must have {rank} sides, as {recipe.data} holds "
            f"{'images' if rank == 2 else 'volumes'}. Received: "
            f"{recipe.image_size}"
        )


def _prepare_folder(run, record, dataset, state, console):
    if state.arrays is None:
        for path in run.files():
            path.unlink()
        _write_facts(run, dataset)
    elif state.damage:
        use_previous(run, state, console)
    write_json(run.path("recipe"), record)


def _write_facts(run, dataset):
    splits, fingerprint, preprocessing = dataset
    if fingerprint is not None:
        facts = {
            "fingerprint": fingerprint.to_dict(),
            "preprocessing": preprocessing and preprocessing.to_dict(),
        }
        write_json(run.path("fingerprint"), facts)
    if splits.classes is not None:
        write_json(run.path("classes"), splits.classes)


def _open_tensorboard(run, predictor, splits, recipe):
    from dca_keras.training._tensorboard import TensorBoard

    return TensorBoard(
        *(run.path("tensorboard"), predictor, splits.val),
        *(recipe.image_size, recipe.sampling, recipe.shown_channels),
    )


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
