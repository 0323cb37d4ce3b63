"""The models of a page, each loaded when it is first used."""

import functools
from pathlib import Path

from dca_keras.prediction import open_member
from dca_keras.run import Run


class Models:
    """Runs by the names that the page shows.

    Args:
        names: Folders of runs, names of shipped weights, or "hf://USER/NAME".

    Raises:
        ValueError: If there is none, or one is not a run.
    """

    def __init__(self, names):
        runs = {str(name): Run.open(name) for name in names}
        if not runs:
            raise ValueError(
                "`runs` must name at least one run or shipped model. "
                "Received none."
            )
        for run in runs.values():
            _ = run.recipe  # An error now, and not at the first image.
        self._runs = {_shorten(name, runs): run for name, run in runs.items()}
        self._open = functools.cache(self._load)

    @property
    def names(self):
        """The names, as a tuple."""
        return tuple(self._runs)

    @property
    def any_dca(self):
        """Whether a model has attention to look at."""
        return any(run.recipe.dca for run in self._runs.values())

    def run(self, name):
        """Return the `Run` of a name."""
        return self._runs[name]

    def member(self, name):
        """Return the run of a name as a loaded `prediction.Member`."""
        return self._open(name)

    def class_names(self, name):
        """Return what a model's classes are called, by index from 1."""
        run = self._runs[name]
        count = run.recipe.num_classes
        known = {}
        if run.path("metrics").is_file():
            known = run.scores("test").get("class_names", {})
        return {
            index: known.get(str(index), f"class {index}")
            for index in range(1, max(2, count))
        }

    def _load(self, name):
        return open_member(self._runs[name], window=None, overlap=None)


def _shorten(name, names):
    """Return a path's last part, if no other name ends in it."""
    last = Path(name).name
    alone = sum(Path(other).name == last for other in names) == 1
    return last if alone and last else name
