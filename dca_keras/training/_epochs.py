"""The epochs of a run: fitted to the last one, or to the last minute."""

import dataclasses
import typing

import keras

from dca_keras._checkpoint import restore
from dca_keras._files import write_json
from dca_keras.data import Splits
from dca_keras.run import Run
from dca_keras.training._fit import compile_model, count_steps, fit, scope
from dca_keras.training._minutes import (
    TimeEpochs,
    choose_epochs,
    note_epochs,
)
from dca_keras.training._optimization import make_optimizer
from dca_keras.training._state import describe_run
from dca_keras.training.callbacks import (
    KeepRun,
    StopEarly,
    is_stale,
    trainable,
)


@dataclasses.dataclass
class Epochs:
    """Fits a model, epoch by epoch, and keeps what a run keeps.

    Attributes:
        run: The `Run`; None to keep no files.
        model: The model to train and to save.
        loss: Its loss.
        splits: The data set's `Splits`.
        strategy: The strategy, or None.
        rows: The finished epochs, a dictionary of scores each. Grows by one
            an epoch.
        console: The `rich` console.
        encoder: The layers that are not trained in the first
            `freeze_epochs`.
        callbacks: Further callbacks.
    """

    run: Run | None
    model: keras.Model
    loss: keras.losses.Loss
    splits: Splits
    strategy: typing.Any
    rows: list
    console: typing.Any
    encoder: list = ()
    callbacks: list = dataclasses.field(default_factory=list)

    def fit(self, recipe, arrays, *callbacks):
        """Fit the epochs that are left of a recipe.

        Args:
            recipe: The `Recipe`.
            arrays: The state to begin with; None for the start of a run.
            *callbacks: Those of this call alone.

        Returns:
            The state after the last epoch.
        """
        thaw = min(recipe.freeze_epochs or 0, recipe.epochs)
        if len(self.rows) < thaw:
            with trainable(self.encoder, False):
                epochs = (0, thaw)
                arrays = self._fit(
                    epochs, recipe, arrays, callbacks, self.encoder
                )
        if len(self.rows) >= thaw:  # Nothing has stopped it before.
            epochs = (thaw, recipe.epochs)
            arrays = self._fit(epochs, recipe, arrays, callbacks)
        return arrays

    def _fit(self, epochs, recipe, arrays, callbacks, frozen=()):
        """Fit the epochs that are left of some, with an optimizer of theirs.

        A variable that begins to be trained late would get steps that are
        many times too large from an optimizer that has taken steps before:
        Adam corrects its averages for the first steps by their number. So the
        optimizer is a new one when the encoder thaws; its schedule goes on.
        """
        rows, monitor = self.rows, recipe.monitor
        first, last = epochs  # the last one not included
        with scope(self.strategy):
            steps = count_steps(recipe, self.splits)
            optimizer = make_optimizer(recipe, steps, first)
            training_model = compile_model(self.model, self.loss, optimizer)
        variables = [*training_model.variables, *optimizer.variables]
        if arrays is not None and len(rows) == first:
            weights = training_model.variables
            restore(weights, arrays[: len(weights)])
        elif arrays is not None:
            restore(variables, arrays)
        keep = KeepRun(self.model, variables, self.run, rows, monitor, frozen)
        keep.publish()
        stop = StopEarly(rows, monitor, recipe.patience)
        if self._is_left(recipe) and len(rows) < last:
            fit(
                training_model,
                recipe,
                self.splits,
                self.strategy,
                [keep, stop, *self.callbacks, *callbacks],
                initial_epoch=len(rows),
                last_epoch=last,
                console=self.console,
            )
        return [variable.numpy() for variable in variables]

    def fit_in_minutes(self, recipe, arrays):
        """Fit as many epochs as there is time for, see `TimeEpochs`.

        The first ones follow the schedule of the recipe's `epochs`, the most
        that there may be; the others that of the number that is chosen.
        """
        first = recipe.freeze_epochs or 0
        timer = TimeEpochs(self.rows, recipe.minutes, self.strategy, first)
        arrays = self.fit(recipe, arrays, timer)
        if timer.epoch is None:
            return
        done = len(self.rows)
        epochs = choose_epochs(recipe, timer, self.splits, done)
        recipe, timing = note_epochs(recipe, epochs, timer)
        if self.run is not None:
            record = describe_run(recipe, self.splits, timing)
            write_json(self.run.path("recipe"), record)
        self.console.print(
            f"{epochs} epochs of {timer.epoch:.1f} s fit into "
            f"{recipe.minutes:g} minutes",
            highlight=False,
        )
        if self._is_left(recipe):
            self.fit(recipe, arrays)

    def _is_left(self, recipe):
        stale = is_stale(self.rows, recipe.monitor, recipe.patience)
        return not stale and len(self.rows) < recipe.epochs
