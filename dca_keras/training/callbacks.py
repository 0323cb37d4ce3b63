"""What training keeps and shows after every epoch."""

import contextlib
import csv
import math
import time

import keras
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from dca_keras._checkpoint import save_checkpoint
from dca_keras._files import replace_file
from dca_keras.recipe import MONITORS

TITLES = {"dice": "Dice", "iou": "IoU"}


class KeepRun(keras.callbacks.Callback):
    """Keeps a run's files after every epoch, whenever it may be killed.

    The checkpoint is the state after the last finished epoch. The other files
    follow from it: the history, and the model of the best epoch. `publish`
    brings these two up to date, and so corrects them when a run is resumed.

    Args:
        model: The model to save; it shares its weights with the one that is
            trained.
        variables: All that changes in training, as Keras variables.
        run: The `Run` to write to; `None` to keep no files.
        rows: The finished epochs, a dictionary of scores each. Grows by one
            an epoch.
        monitor: The score that chooses the best epoch, one of
            `dca_keras.recipe.MONITORS`.
        frozen: Layers that are not trained now, but can be in the file.
    """

    def __init__(self, model, variables, run, rows, monitor, frozen=()):
        super().__init__()
        self.to_save = model
        self.variables = variables
        self.run = run
        self.rows = rows
        self.monitor = monitor
        self.frozen = frozen

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self.start, 2)
        scores = {name: round(float(logs[name]), 6) for name in in_order(logs)}
        self.rows.append({"epoch": epoch + 1, **scores, "seconds": seconds})
        if self.run is not None:
            save_checkpoint(
                self.run.path("checkpoint"),
                self.variables,
                self.rows,
                previous=self.run.path("previous_checkpoint"),
            )
        self.publish()

    def publish(self):
        """Write what follows from the state, if there is one."""
        if self.run is None or not self.rows:
            return
        if best_row(self.rows, self.monitor) is self.rows[-1]:
            path = self.run.path("model")
            with trainable(self.frozen), replace_file(path) as temporary:
                self.to_save.save(temporary)
        with replace_file(self.run.path("history")) as temporary:
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self.rows[-1])
                writer.writeheader()
                writer.writerows(self.rows)


@contextlib.contextmanager
def trainable(layers, value=True):
    """Make layers trainable or not, and afterwards what they were."""
    before = [layer.trainable for layer in layers]
    try:
        for layer in layers:
            layer.trainable = value
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.trainable = own


class StopEarly(keras.callbacks.Callback):
    """Stops training when there was no better epoch for long.

    Args:
        rows: The finished epochs, as `KeepRun` keeps them.
        monitor: The score that chooses the best epoch.
        patience: Epochs without a better one that are waited for.
    """

    def __init__(self, rows, monitor, patience):
        super().__init__()
        self.rows = rows
        self.monitor = monitor
        self.patience = patience

    def on_epoch_end(self, epoch, logs=None):
        if is_stale(self.rows, self.monitor, self.patience):
            self.model.stop_training = True


def in_order(logs):
    """Return the names of scores: training's, validation's; the loss first."""
    return sorted(
        logs, key=lambda n: (n.startswith("val_"), not n.endswith("loss"), n)
    )


def best_row(rows, monitor):
    """Return the first epoch of the best score."""
    valid = [row for row in rows if not math.isnan(row[monitor])]
    return MONITORS[monitor](valid or rows, key=lambda row: row[monitor])


def is_stale(rows, monitor, patience):
    """Return whether `patience` epochs went by since the best one."""
    if patience is None or not rows:
        return False
    return rows[-1]["epoch"] - best_row(rows, monitor)["epoch"] >= patience


class ShowProgress(keras.callbacks.Callback):
    """A progress bar over all epochs; away from a terminal a line an epoch.

    To be used in a `with` block, so that Ctrl-C gives the terminal back.

    Args:
        console: The `rich` console.
        epochs: Number of epochs.
        steps: Steps an epoch.
        finished: Epochs that were finished before.
        monitor: The score to show beside the loss.
    """

    def __init__(self, console, epochs, steps, finished=0, monitor="val_dice"):
        super().__init__()
        self.console = console
        self.epochs = epochs
        self.monitor = monitor
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
        self.task = self.bar.add_task(
            "", total=epochs * steps, completed=finished * steps, scores=""
        )

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
        name = self.monitor.removeprefix("val_")
        value = float(logs[self.monitor])
        self.validation = f"val {TITLES.get(name, name)} {value:.3f}"
        scores = f"loss {logs['loss']:.3f} {self.validation}"
        self.bar.update(self.task, scores=scores)
        if not self.console.is_terminal:
            seconds = time.perf_counter() - self.start
            self.console.print(
                f"{self.name} {scores} {seconds:.1f} s", highlight=False
            )
