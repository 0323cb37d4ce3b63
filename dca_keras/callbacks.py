"""What training keeps and shows after every epoch."""

import csv
import time

import keras
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from dca_keras._files import replace_file

SCORES = ("loss", "dice", "iou", "val_loss", "val_dice", "val_iou")


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
