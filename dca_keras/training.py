"""Training: from a recipe to a folder with a model and its scores."""

import csv
import dataclasses
import time
from pathlib import Path

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from dca_keras._files import replace_file, write_json
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
SCORES = ("loss", "dice", "iou", "val_loss", "val_dice", "val_iou")


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
    splits = _usable(recipe, console)
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


class SaveBest(keras.callbacks.Callback):
    """Saves a model whenever the validation Dice is the best so far.

    Args:
        to_save: The model to save; it shares its weights with the trained.
        path: The file. It always holds a whole model.
    """

    def __init__(self, to_save, path):
        super().__init__()
        self.to_save = to_save
        self.path = path
        self.best = -1.0

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_dice"] > self.best:
            self.best = logs["val_dice"]
            with replace_file(self.path) as temporary:
                self.to_save.save(temporary)


class WriteHistory(keras.callbacks.Callback):
    """Appends losses, scores and seconds of every epoch to a CSV file.

    Args:
        path: The file, which is begun anew.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_begin(self, logs=None):
        self._write("w", ["epoch", *SCORES, "seconds"])

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.start
        scores = [f"{logs[name]:.6f}" for name in SCORES]
        self._write("a", [epoch + 1, *scores, f"{seconds:.2f}"])

    def _write(self, mode, row):
        with open(self.path, mode, newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(row)


class ShowProgress(keras.callbacks.Callback):
    """A progress bar over all epochs; away from a terminal a line an epoch.

    To be used in a `with` block, so that Ctrl-C gives the terminal back.

    Args:
        console: The `rich` console.
        epochs: Number of epochs.
        steps: Steps an epoch.
    """

    def __init__(self, console, epochs, steps):
        super().__init__()
        self.console = console
        self.epochs = epochs
        self.validation = ""
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[scores]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=epochs * steps, scores="")

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *error):
        self.bar.stop()

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()
        self.name = f"epoch {epoch + 1}/{self.epochs}"
        self.bar.update(self.task, description=self.name)

    def on_train_batch_end(self, batch, logs=None):
        scores = f"loss {float(logs['loss']):.3f} {self.validation}"
        self.bar.update(self.task, advance=1, scores=scores)

    def on_epoch_end(self, epoch, logs=None):
        self.validation = f"val Dice {logs['val_dice']:.3f}"
        scores = f"loss {logs['loss']:.3f} {self.validation}"
        self.bar.update(self.task, scores=scores)
        if not self.console.is_terminal:
            seconds = time.perf_counter() - self.start
            self.console.print(
                f"{self.name} {scores} {seconds:.1f} s", highlight=False
            )


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


def _usable(recipe, console):
    """The dataset after every sample was loaded once, less broken ones."""
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
