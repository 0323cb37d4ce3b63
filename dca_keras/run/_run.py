"""A run's folder as one object."""

import dataclasses
import functools
import typing
from pathlib import Path

import keras

from dca_keras._run_files import FOLDERS, PATHS, not_a_recipe, read_record
from dca_keras.data import dataset_facts
from dca_keras.recipe import MONITORS, SPLITS, Recipe, check_split
from dca_keras.run._description import describe
from dca_keras.run._loading import load_model, load_recipe
from dca_keras.run._reading import (
    find_file,
    read_fingerprint,
    read_history,
    read_json,
    read_scores,
)
from dca_keras.run._state import Checkpoint, read_state
from dca_keras.weights import find_folder

if typing.TYPE_CHECKING:
    import pandas as pd

    from dca_keras.data import Fingerprint, Preprocessing, Splits


class Run:
    """What training left in a folder.

    Everything is read when it is asked for, so that any folder can be given,
    one that is still to be written too. Runs of earlier versions can be read.

    Args:
        folder: The run's folder, `--output` of `dca-keras train`.

    Attributes:
        folder: The folder, a `Path`.

    Example:

    >>> run = dca_keras.Run("runs/unet-dca-synthetic-seed0")
    >>> run
    Run('runs/unet-dca-synthetic-seed0')
      model   unet with DCA, 64×64×3
      data    synthetic: 64 train, 16 val, 32 test
      epochs  10 of 10, best 9: val_dice 0.9321
      scores  test: Dice 0.9296, IoU 0.8789
    >>> run.history.plot(x="epoch", y=["dice", "val_dice"])
    >>> model = run.load_model()
    >>> run.scores("test")["dice"]
    0.9296
    >>> run.path("report")
    PosixPath('runs/unet-dca-synthetic-seed0/report.html')
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def open(cls, name: str | Path) -> "Run":
        """Open a run by its folder, or what others share or the package ships.

        Args:
            name: A folder that `dca-keras train` or `dca-keras share` made,
                one of `dca_keras.zoo.list_weights()`, or "hf://USER/NAME".

        Raises:
            ValueError: If a repository can't be read.
            ImportError: If a repository is named and the Hub's client is not
                installed.
        """
        return cls(find_folder(name))

    def path(self, kind: str, split: str = "test") -> Path:
        """Return the path of a file or folder of the run, there or not.

        Args:
            kind: One of "recipe", "fingerprint" (what the images are like and
                how they are preprocessed), "classes" (the values or colours
                of masks), "history", "checkpoint" and
                "previous_checkpoint", "model" (of the best epoch),
                "last_model", "shared_model" (what a shared run has),
                "metrics" (the scores as JSON), "metrics_table" (as CSV),
                "report", "pictures" (of predictions); or, for folders,
                "predictions", "export" and "tensorboard".
            split: Of metrics, the report and the pictures: "train", "val" or
                "test".

        Raises:
            ValueError: If there is no such kind or split.
        """
        if kind not in PATHS:
            raise ValueError(
                f"`kind` must be one of {', '.join(map(repr, PATHS))}. "
                f"Received: {kind!r}"
            )
        check_split(split)
        suffix = "" if split == "test" else f"_{split}"
        return self.folder / PATHS[kind].format(suffix)

    def files(self) -> list[Path]:
        """Return the paths of all files of the run that are there."""
        paths = {
            self.path(kind, split)
            for kind in PATHS
            if kind not in FOLDERS
            for split in SPLITS
        }
        return sorted(path for path in paths if path.exists())

    @property
    def model_path(self) -> Path:
        """The path of the file that `load_model` reads."""
        model, weights = self.path("model"), self.path("shared_model")
        return weights if weights.is_file() > model.is_file() else model

    @functools.cached_property
    def record(self) -> dict:
        """What `recipe.json` says: recipe, samples, versions and hardware."""
        return read_record(find_file(self, "recipe"))

    @functools.cached_property
    def recipe(self) -> Recipe:
        """The `Recipe` that was trained."""
        return load_recipe(self)

    @property
    def command(self) -> str:
        """The command line that trains its recipe again, in as many epochs."""
        recipe = self.recipe
        if "timing" in self.record:  # Its minutes have chosen them.
            recipe = dataclasses.replace(recipe, minutes=None)
        return recipe.command()

    @functools.cached_property
    def samples(self) -> dict[str, list[str]]:
        """The names of the samples by split, `{"train": [...], ...}`."""
        try:
            samples = self.record["samples"]
            return {split: list(samples[split]) for split in SPLITS}
        except (LookupError, TypeError) as error:
            raise not_a_recipe(self.path("recipe"), error) from error

    @functools.cached_property
    def fingerprint(self) -> "Fingerprint | None":
        """The `data.Fingerprint` of its data set; None if none was taken."""
        from dca_keras.data import Fingerprint

        found = read_fingerprint(self, "fingerprint")
        return None if found is None else Fingerprint.from_dict(found)

    @functools.cached_property
    def preprocessing(self) -> "Preprocessing | None":
        """The `data.Preprocessing` of its images; None if there is none."""
        from dca_keras.data import Preprocessing

        found = read_fingerprint(self, "preprocessing")
        return None if found is None else Preprocessing.from_dict(found)

    @functools.cached_property
    def classes(self) -> dict | None:
        """What its `classes.json` says; None if its masks hold indices."""
        path = self.path("classes")
        return read_json(path) if path.is_file() else None

    def read_splits(self, data_dir: str | Path | None = None) -> "Splits":
        """Read the run's data set, preprocessed as it was for training.

        Args:
            data_dir: The folder it is in now; None for where it was.

        Returns:
            The `data.Splits`, as the data set's reader divides it now.

        Raises:
            ValueError: If it can't be read.
        """
        classes = self.path("classes")
        splits = self.recipe.read_dataset(
            data_dir, classes=str(classes) if classes.is_file() else None
        )
        if self.preprocessing is None:
            return splits
        return self.preprocessing.splits(splits)

    @property
    def intensity_window(self) -> tuple[float, float] | None:
        """The `intensity_window` of the data set, as `data.Splits` has it."""
        # Earlier versions did not note it.
        known = dataset_facts(self.recipe.data)["intensity_window"]
        window = self.record.get("intensity_window", known)
        return window and tuple(window)

    @property
    def history(self) -> "pd.DataFrame":
        """The scores of every finished epoch, a pandas DataFrame."""
        return read_history(self)

    @property
    def best_epoch(self) -> "pd.Series | None":
        """The row of `history` that `model.keras` was kept of."""
        history, monitor = self.history, self.recipe.monitor
        lowest = MONITORS[monitor] is min
        column = history[monitor]
        return history.loc[column.idxmin() if lowest else column.idxmax()]

    def read_checkpoint(self) -> Checkpoint:
        """Read the state after the last finished epoch.

        Returns:
            A `Checkpoint`. Where the newest file is damaged, it is the one
            before it.

        Raises:
            ValueError: If all that is there is damaged.
        """
        return read_state(self)

    def load_model(self, epoch: str = "best") -> keras.Model:
        """Load the model, not compiled.

        Code in the file is never run: a model with a `Lambda` layer, or with
        a layer of a class that is not known here, is refused.

        Args:
            epoch: "best" or "last".

        Raises:
            ValueError: If the file is missing, broken, not of this run, or
                holds code.
        """
        return load_model(self, epoch)

    def scores(self, split: str = "test") -> dict:
        """Return what `evaluate` found on a split, as `metrics.json` has it.

        Args:
            split: "train", "val" or "test".

        Raises:
            ValueError: If the split was not evaluated yet, or the file is
                broken.
        """
        return read_scores(self, split)

    def __repr__(self):
        return describe(self)
