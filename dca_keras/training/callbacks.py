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

from dca_keras._checkpoint import save_checkpoint
from dca_keras._extras import import_extra
from dca_keras._files import replace_file

SCORES = ("loss", "dice", "iou", "val_loss", "val_dice", "val_iou")
COLUMNS = ("epoch", *SCORES, "seconds")


class KeepRun(keras.callbacks.Callback):
    """Keeps a run's files after every epoch, whenever it may be killed.

    `checkpoint.h5` is the state of the last finished epoch. What else is kept
    follows from it: `history.csv`, and `model.keras`, the model of the best
    epoch by validation Dice. `publish` brings these two up to date, and so
    mends them when a run is taken up again.

    Args:
        model: The model to save; it shares its weights with the trained.
        variables: All that changes in training, as Keras variables.
        output: The run's folder; `None` to keep no files.
        rows: The finished epochs, dictionaries by the names in `COLUMNS`.
            Grows by one an epoch.
    """

    def __init__(self, model, variables, output, rows):
        super().__init__()
        self.to_save = model
        self.variables = variables
        self.output = output
        self.rows = rows

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self.start, 2)
        scores = {name: round(float(logs[name]), 6) for name in SCORES}
        self.rows.append({"epoch": epoch + 1, **scores, "seconds": seconds})
        if self.output is not None:
            path = self.output / "checkpoint.h5"
            save_checkpoint(path, self.variables, self.rows)
        self.publish()

    def publish(self):
        """Writes what follows from the state, where there is one."""
        if self.output is None or not self.rows:
            return
        if best_row(self.rows) is self.rows[-1]:
            with replace_file(self.output / "model.keras") as temporary:
                self.to_save.save(temporary)
        with replace_file(self.output / "history.csv") as temporary:
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(self.rows)


class StopEarly(keras.callbacks.Callback):
    """Stops training when the validation Dice has not risen for long.

    Args:
        rows: The finished epochs, as `KeepRun` keeps them.
        patience: Epochs without a better one that are waited for.
    """

    def __init__(self, rows, patience):
        super().__init__()
        self.rows = rows
        self.patience = patience

    def on_epoch_end(self, epoch, logs=None):
        if is_stale(self.rows, self.patience):
            self.model.stop_training = True


def best_row(rows):
    """The first epoch of the best validation Dice."""
    return max(rows, key=lambda row: row["val_dice"])


def is_stale(rows, patience):
    """Whether `patience` epochs went by since the best one."""
    if patience is None or not rows:
        return False
    return rows[-1]["epoch"] - best_row(rows)["epoch"] >= patience


class TensorBoard(keras.callbacks.Callback):
    """Writes scores and pictures for TensorBoard.

    Args:
        folder: Where to; TensorBoard's `--logdir`.
        draw: A function of the epoch to a picture, `(height, width, 3)`,
            uint8; it is called after every epoch.

    Raises:
        ImportError: If the extra `tensorboard` is not installed.
    """

    def __init__(self, folder, draw):
        super().__init__()
        tensorboard = import_extra(
            "tensorboardX", extra="tensorboard", purpose="TensorBoard"
        )
        self.writer = tensorboard.SummaryWriter(str(folder))
        self.draw = draw

    def on_epoch_end(self, epoch, logs=None):
        for name in SCORES:
            part = "validation" if name.startswith("val_") else "training"
            tag = f"{name.removeprefix('val_')}/{part}"
            self.writer.add_scalar(tag, float(logs[name]), epoch + 1)
        picture = self.draw(epoch)
        self.writer.add_image(
            "validation", picture, epoch + 1, dataformats="HWC"
        )
        self.writer.flush()

    def on_train_end(self, logs=None):
        self.writer.close()


class ShowProgress(keras.callbacks.Callback):
    """A progress bar over all epochs; away from a terminal a line an epoch.

    To be used in a `with` block, so that Ctrl-C gives the terminal back.

    Args:
        console: The `rich` console.
        epochs: Number of epochs.
        steps: Steps an epoch.
        finished: Epochs that were finished before.
    """

    def __init__(self, console, epochs, steps, finished=0):
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
        self.validation = f"val Dice {logs['val_dice']:.3f}"
        scores = f"loss {logs['loss']:.3f} {self.validation}"
        self.bar.update(self.task, scores=scores)
        if not self.console.is_terminal:
            seconds = time.perf_counter() - self.start
            self.console.print(
                f"{self.name} {scores} {seconds:.1f} s", highlight=False
            )
