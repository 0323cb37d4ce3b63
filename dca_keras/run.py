"""The folder of a run: the one place that knows what is in it."""

import dataclasses
import functools
import json
import sys
import typing
from pathlib import Path

import keras

from dca_keras._checkpoint import read_checkpoint
from dca_keras._model_files import load_model_file
from dca_keras._plugins import load_plugins
from dca_keras.data import dataset_facts
from dca_keras.recipe import MONITORS, SPLITS, Recipe, check_split
from dca_keras.weights import find_folder, load_weights

if typing.TYPE_CHECKING:
    import pandas as pd

    from dca_keras.data import Fingerprint, Preprocessing, Splits

# What a run's files and folders are called, by kind. Those of a split have
# its name at `{}`, and nothing there for the test split.
PATHS = {
    "recipe": "recipe.json",
    "fingerprint": "fingerprint.json",
    "classes": "classes.json",
    "history": "history.csv",
    "checkpoint": "checkpoint.h5",
    "previous_checkpoint": "checkpoint.previous.h5",
    "model": "model.keras",
    "shared_model": "model.weights.h5",
    "last_model": "last.keras",
    "metrics": "metrics{}.json",
    "metrics_table": "metrics{}.csv",
    "report": "report{}.html",
    "pictures": "predictions{}.png",
    "predictions": "predictions",
    "export": "export",
    "tensorboard": "tensorboard",
}
EPOCHS = {"best": "model", "last": "last_model"}
FOLDERS = ("predictions", "export", "tensorboard")


class Checkpoint(typing.NamedTuple):
    """The state of a training after an epoch.

    Attributes:
        epochs: The finished epochs, a dictionary of scores each.
        arrays: The values of all variables; `None` if no epoch was finished.
        damage: What is wrong with the newest checkpoint if this is the one
            before it, else `None`.
    """

    epochs: list
    arrays: list | None = None
    damage: str | None = None


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
        path = self._find("recipe")
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError) as error:
            raise _not_a_recipe(path, error) from error

    @functools.cached_property
    def recipe(self) -> Recipe:
        """The `Recipe` that was trained."""
        load_plugins()
        record = self.record
        try:
            return Recipe.from_dict(record["recipe"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if missing := self._missing_plugins():
                raise ValueError(f"{error}. {missing}") from error
            raise _not_a_recipe(self.path("recipe"), error) from error

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
            raise _not_a_recipe(self.path("recipe"), error) from error

    @functools.cached_property
    def fingerprint(self) -> "Fingerprint | None":
        """The `data.Fingerprint` of its data set; None if none was taken."""
        from dca_keras.data import Fingerprint

        found = self._read_fingerprint("fingerprint")
        return None if found is None else Fingerprint.from_dict(found)

    @functools.cached_property
    def preprocessing(self) -> "Preprocessing | None":
        """The `data.Preprocessing` of its images; None if there is none."""
        from dca_keras.data import Preprocessing

        found = self._read_fingerprint("preprocessing")
        return None if found is None else Preprocessing.from_dict(found)

    @functools.cached_property
    def classes(self) -> dict | None:
        """What its `classes.json` says; None if its masks hold indices."""
        path = self.path("classes")
        return _read_json(path) if path.is_file() else None

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
        import pandas

        path = self._find("history")
        try:
            return pandas.read_csv(path).astype({"epoch": int})
        except (ValueError, LookupError) as error:
            raise ValueError(
                f"{path} is not a run's history: {error!r}"
            ) from error

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
        damage = None
        for kind in ("checkpoint", "previous_checkpoint"):
            path = self.path(kind)
            if path.exists():
                try:
                    arrays, epochs = read_checkpoint(path)
                    return Checkpoint(epochs, arrays, damage)
                except ValueError as error:
                    damage = damage or str(error)
        if damage is not None:
            raise ValueError(
                f"{damage} There is no earlier one to go on with: start again "
                "with `--overwrite`."
            )
        return Checkpoint([])

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
        if epoch not in EPOCHS:
            raise ValueError(
                f"`epoch` must be 'best' or 'last'. Received: {epoch!r}"
            )
        self._find("recipe")
        if self.model_path == self.path("shared_model"):
            return self._build_shared()
        path, recipe = self._find(EPOCHS[epoch]), self.recipe
        try:
            model = load_model_file(path)
        except ValueError as error:
            if missing := self._missing_plugins():
                raise ValueError(f"{error}. {missing}") from error
            raise
        expected = (*recipe.image_size, recipe.channels), recipe.num_classes
        try:
            found = model.input_shape[1:], model.output_shape[-1]
        except AttributeError as error:
            raise ValueError(f"{path} can't be loaded: {error}") from error
        if found != expected:
            raise ValueError(
                f"{path} maps {found[0]} to {found[1]} classes and "
                f"{self.path('recipe')} says {expected[0]} to {expected[1]}: "
                "they are not of one run."
            )
        return model

    def _build_shared(self):
        """Build the model of a folder that `share` wrote."""
        model = self.recipe.build_model()
        loaded = load_weights(model, self.path("shared_model"))
        if loaded.new or loaded.unused:
            raise ValueError(
                f"{self.path('shared_model')} is not of the model that "
                f"{self.path('recipe')} says: {loaded}"
            )
        return model

    def scores(self, split: str = "test") -> dict:
        """Return what `evaluate` found on a split, as `metrics.json` has it.

        Args:
            split: "train", "val" or "test".

        Raises:
            ValueError: If the split was not evaluated yet, or the file is
                broken.
        """
        path = self.path("metrics", split)
        option = "" if split == "test" else f" --split {split}"
        command = f"`dca-keras evaluate {self.folder}{option}`"
        if not path.is_file():
            raise ValueError(f"{path} is missing. {command} writes it.")
        try:
            scores = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{path} is no run's metrics: {error}. {command} writes it "
                "again."
            ) from error
        if "part" in scores:  # The word of earlier versions.
            scores["split"] = scores.pop("part")
        return scores

    def __repr__(self):
        lines = [f"Run({str(self.folder)!r})"]
        try:
            lines += [
                f"  {name:<7} {text}" for name, text in self._describe() if text
            ]
        except (ValueError, LookupError, TypeError) as error:
            lines.append(f"  {error}")
        return "\n".join(lines)

    def _describe(self):
        recipe = self.recipe
        variant = "" if recipe.variant == "plain" else f" with {recipe.variant}"
        variant = variant.replace("dca", "DCA").replace("_", ", ")
        size = "×".join(map(str, (*recipe.image_size, recipe.channels)))
        yield "model", f"{recipe.model}{variant}, {size}"
        counts = ", ".join(
            f"{len(names)} {split}" for split, names in self.samples.items()
        )
        yield "data", f"{recipe.data}: {counts}"
        if not self.path("history").is_file():
            yield "epochs", f"0 of {recipe.epochs}"
            return
        best = self.best_epoch
        yield (
            "epochs",
            f"{len(self.history)} of {recipe.epochs}, best "
            f"{best['epoch']:.0f}: {recipe.monitor} "
            f"{best[recipe.monitor]:.4f}",
        )
        found = [s for s in SPLITS if self.path("metrics", s).is_file()]
        scores = {split: self.scores(split) for split in found}
        yield (
            "scores",
            "; ".join(
                f"{split}: Dice {of['dice']:.4f}, IoU {of['iou']:.4f}"
                for split, of in scores.items()
            ),
        )

    def _missing_plugins(self):
        """Which of its plugins to name; none is imported by a file's word."""
        recipe = self.record.get("recipe")
        names = recipe.get("plugins") if isinstance(recipe, dict) else ()
        missing = [name for name in names or () if name not in sys.modules]
        if not missing:
            return ""
        options = " ".join(f"--plugin {name}" for name in missing)
        return (
            f"{self.folder} was trained with a module that is not imported: "
            f"name it, `{options}`, or import it in Python."
        )

    def _read_fingerprint(self, key):
        """A part of `fingerprint.json`; None if there is none."""
        path = self.path("fingerprint")
        if not path.is_file():
            return None
        found = _read_json(path)
        try:
            return found[key]
        except (LookupError, TypeError) as error:
            raise ValueError(f"{path} lacks {key!r}.") from error

    def _find(self, kind):
        """The path of a file that every run has."""
        path = self.path(kind)
        if not path.is_file():
            raise ValueError(
                f"{path} is missing, so {self.folder} is not the folder of a "
                "run. `dca-keras train --output DIR` makes one."
            )
        return path


def _not_a_recipe(path, error):
    return ValueError(f"{path} is not a run's recipe: {error!r}")


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} can't be read as JSON: {error}") from error
