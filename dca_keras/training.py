"""Training: from a recipe to a folder with a model and its scores."""

import dataclasses
from pathlib import Path

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
)

from dca_keras._files import write_json
from dca_keras.callbacks import SaveBest, ShowProgress, WriteHistory
from dca_keras.data import check_samples, make_dataset
from dca_keras.evaluation import environment, evaluate_run
from dca_keras.losses import DiceLoss
from dca_keras.metrics import DiceScore, IoU
from dca_keras.recipes import PARTS

FILES = (
    "recipe.json",
    "history.csv",
    "model.keras",
    "metrics*.json",
    "predictions*.png",
)


def train(recipe, output, *, overwrite=False, console=None):
    """Trains a recipe's model and scores it on the held-out test part.

    The folder that comes of it holds

    - `recipe.json`: the recipe, versions and hardware, and the names of the
      samples of each part,
    - `history.csv`: one line an epoch, readable at any moment,
    - `model.keras`: the model of the epoch with the best mean Dice on the
      validation part,
    - `metrics.json` and `predictions.png`: see `evaluate_run`.

    Python's, NumPy's and Keras's random generators are seeded.

    Args:
        recipe: A `Recipe`.
        output: The folder to make.
        overwrite: Whether a run that is already there may be replaced. It is
            kept until model and data have been found in order.
        console: The `rich` console for the progress; `None` is the terminal.

    Returns:
        What `evaluate_run` returns.

    Raises:
        ValueError: If the folder holds a run, the architecture can't be
            built so, or the dataset can't be read. Nothing is written then.
    """
    output = Path(output)
    console = console or Console(stderr=True)
    _check_output(output, overwrite)
    keras.utils.set_random_seed(recipe.seed)
    # The model before the data: its faults are found at once.
    model = recipe.build_model()
    splits = read_usable(recipe, console)
    for path in _run_files(output):
        path.unlink()
    write_json(
        output / "recipe.json",
        {
            "recipe": recipe.to_dict(),
            "samples": {
                part: [sample.name for sample in getattr(splits, part)]
                for part in PARTS
            },
            **environment(),
        },
    )
    try:
        _fit(model, recipe, splits, output, console)
    except KeyboardInterrupt:
        console.print(
            f"Stopped. {output} keeps the history and the best model of the "
            f"finished epochs; `dca-keras evaluate {output}` scores it.",
            soft_wrap=True,
        )
        raise
    return evaluate_run(output)


def read_usable(recipe, console):
    """Reads a recipe's dataset and loads every sample once.

    Args:
        recipe: A `Recipe`.
        console: The `rich` console for the progress.

    Returns:
        The `Splits`, less the samples that can't be used where the recipe
        says to go on without; these are listed on the console.

    Raises:
        ValueError: If the dataset can't be read, or samples can't be used.
    """
    splits = recipe.read_dataset()
    names = PARTS if splits.protocol == "held_out" else ("train", "val")
    parts = {name: getattr(splits, name) for name in names}
    columns = (TextColumn("checking images"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=sum(map(len, parts.values())))
        samples = [sample for part in parts.values() for sample in part]
        good, errors = check_samples(
            samples,
            on_checked=lambda: bar.advance(task),
            skip_broken=recipe.skip_broken,
            allow_empty=recipe.empty_masks,
        )
    if not errors:
        return splits
    for error in errors:
        console.print(f"Skipped: {error}", soft_wrap=True, markup=False)
    kept = {sample.name for sample in good}
    parts = {
        name: tuple(sample for sample in part if sample.name in kept)
        for name, part in parts.items()
    }
    if empty := [name for name, part in parts.items() if not part]:
        raise ValueError(
            f"Without the broken images, {', '.join(empty)} would be empty. "
            "Mend them."
        )
    if "test" not in parts:
        parts["test"] = parts["val"]
    return dataclasses.replace(splits, **parts)


def _fit(model, recipe, splits, output, console):
    train_data = make_dataset(
        splits.train,
        recipe.image_size,
        recipe.batch_size,
        shuffle=True,
        augment=recipe.augment,
        seed=recipe.seed,
        cache=recipe.cache_of("train"),
    )
    val_data = make_dataset(
        splits.val,
        recipe.image_size,
        recipe.batch_size,
        cache=recipe.cache_of("val"),
    )
    with ShowProgress(console, recipe.epochs, len(train_data)) as progress:
        _compile_twin(model, recipe).fit(
            train_data,
            validation_data=val_data,
            epochs=recipe.epochs,
            shuffle=False,  # make_dataset does.
            verbose=0,
            callbacks=[
                WriteHistory(output / "history.csv"),
                SaveBest(model, output / "model.keras"),
                progress,
            ],
        )


def _compile_twin(model, recipe):
    """A model on the same weights, ready to be trained.

    The model itself is never compiled, so that its file holds no optimizer
    and no loss: a third of the size.
    """
    twin = keras.Model(model.inputs, model.outputs)
    optimizer = keras.optimizers.Adam(recipe.learning_rate)
    if recipe.dtype == "mixed_float16":
        # `compile` does this only where the policy is the global one.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # Built here, the step is traced once; built by `fit`, twice.
    optimizer.build(twin.trainable_variables)
    twin.compile(
        optimizer=optimizer,
        loss=DiceLoss(),
        metrics=[DiceScore(per_image=True), IoU(per_image=True)],
    )
    return twin


def _check_output(output, overwrite):
    if output.exists() and not output.is_dir():
        raise ValueError(f"`--output` {output} is a file. Name a folder.")
    found = [path.name for path in _run_files(output)]
    if found and not overwrite:
        raise ValueError(
            f"{output} already holds a run ({', '.join(found)}). Choose "
            "another folder with `--output`, or replace it with `--overwrite`."
        )


def _run_files(output):
    return sorted(path for name in FILES for path in output.glob(name))
