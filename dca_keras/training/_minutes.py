"""How many epochs fit into the minutes that a recipe gives."""

import dataclasses
import time

import keras

from dca_keras.training import strategies

# An epoch counts as timed if it is not the first of a process, which takes
# the time to trace the model and to load the images as well.
TIMED = 2
# How much longer an image takes to be scored than to be validated, and the
# seconds for the report and the pictures.
SCORING, REPORT = 2.0, 20.0


class TimeEpochs(keras.callbacks.Callback):
    """Stops training when an epoch has been timed.

    Args:
        rows: The finished epochs, as `KeepRun` keeps them.
        minutes: As in the recipe.
        strategy: The strategy, or None.
        first: The first epoch that is timed: those with a frozen encoder,
            which are shorter, are not if others follow.

    Attributes:
        epoch: Seconds of the last epoch; None before there was one.
        validation: Seconds of its validation.
        start_up: Seconds that the first epoch took longer.
    """

    def __init__(self, rows, minutes, strategy, first=0):
        super().__init__()
        self.rows = rows
        self.seconds = 60 * minutes
        self.first = first
        self.strategy = strategy
        # On a run that is resumed, what it took before.
        self.start = time.perf_counter() - sum(r["seconds"] for r in rows)
        self.timed = 0
        self.epoch = None
        self.validation = self.start_up = 0.0

    def on_train_batch_end(self, batch, logs=None):
        self.trained = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        seconds = self._agree(now - self.begun)
        self.timed += epoch >= self.first
        self.start_up = max(0.0, (self.epoch or seconds) - seconds)
        self.epoch = seconds
        self.validation = self._agree(now - self.trained)
        if self.timed == TIMED or self.left() < self.epoch:
            self.model.stop_training = True

    def left(self, scored=0.0):
        """Return the seconds that are left to train, started once more.

        Args:
            scored: Images of the test split, for each of the validation's.
        """
        spent = self._agree(time.perf_counter() - self.start)
        scoring = REPORT + SCORING * scored * self.validation
        return self.seconds - spent - scoring - self.start_up

    def _agree(self, number):
        return strategies.mean_of_workers(self.strategy, number)


def choose_epochs(recipe, timer, splits, done):
    """Return how many epochs a recipe has time for.

    Args:
        recipe: The recipe, whose `epochs` are the most.
        timer: The `TimeEpochs` that saw its first epochs.
        splits: The data set's `Splits`.
        done: Epochs that are finished.
    """
    left = timer.left(scored=len(splits.test) / len(splits.val))
    more = int(max(0.0, left) / timer.epoch)
    least = max(done, recipe.warmup_epochs + 1)
    return min(recipe.epochs, max(least, done + more))


def note_epochs(recipe, epochs, timer):
    """Return a recipe of so many epochs, and what `recipe.json` says of it."""
    timing = {
        "minutes": recipe.minutes,
        "most_epochs": recipe.epochs,
        "epochs": epochs,
        "seconds_an_epoch": round(timer.epoch, 2),
    }
    return dataclasses.replace(recipe, epochs=epochs), timing


def resume_epochs(run, recipe):
    """Return a recipe with the epochs that its run has chosen, and `timing`.

    Args:
        run: A `Run`, there or not.
        recipe: The recipe that is asked for.
    """
    timing = None
    if recipe.minutes is not None and run.path("recipe").is_file():
        timing = run.record.get("timing")
    if timing and recipe.epochs == timing["most_epochs"]:
        recipe = dataclasses.replace(recipe, epochs=timing["epochs"])
    return recipe, timing
