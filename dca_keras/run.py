"""The folder of a run: what may be in it, and whether to go on with it."""

from dca_keras._checkpoint import read_checkpoint
from dca_keras._environment import environment
from dca_keras.prediction import read_recipe
from dca_keras.recipe import PARTS

FILES = (
    "recipe.json",
    "checkpoint.h5",
    "history.csv",
    "*.keras",
    "metrics*",
    "predictions*.png",
    "report*.html",
)
# Of a recipe, what may be another when a run is taken up again.
MAY_CHANGE = ("data_dir", "cache", "epochs", "patience", "strategy")


def describe_run(recipe, splits):
    """What `recipe.json` says."""
    return {
        "recipe": recipe.to_dict(),
        "samples": {
            part: [sample.name for sample in getattr(splits, part)]
            for part in PARTS
        },
        **environment(),
    }


def find_state(output, record):
    """The finished epochs and the variables' values of the run in a folder.

    No epochs and `None` where no epoch was finished. Raises `ValueError` if
    the run is not the one that `record` describes.
    """
    if not (output / "recipe.json").exists():
        return [], None
    old, samples = read_recipe(output / "recipe.json")
    before, now = old.to_dict(), record["recipe"]
    changed = [name for name in now if now[name] != before[name]]
    may_change = set(MAY_CHANGE)
    if old.schedule != "constant":
        may_change.remove("epochs")  # It says how fast the rate falls.
    if wrong := [name for name in changed if name not in may_change]:
        raise ValueError(
            f"{output} holds a run with other settings, so it can't be taken "
            "up again: "
            + ", ".join(
                f"`{name}` was {before[name]!r} and is {now[name]!r}"
                for name in wrong
            )
            + ". Give the same, or choose another folder with `--output`."
        )
    if samples != record["samples"]:
        raise ValueError(
            f"The dataset is not the one that {output} was begun with: images "
            "were added, taken away or moved to another part. Restore it, or "
            "choose another folder with `--output`."
        )
    if not (output / "checkpoint.h5").exists():
        return [], None
    arrays, rows = read_checkpoint(output / "checkpoint.h5")
    return rows, arrays


def check_output(output, may_hold_run):
    """Raises `ValueError` if a run can't be written to `output`."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"`--output` {output} is a file. Name a folder.")
    found = [path.name for path in run_files(output)]
    if found and not may_hold_run:
        raise ValueError(
            f"{output} already holds a run ({', '.join(found)}). Choose "
            "another folder with `--output`, go on with it with `--resume`, or "
            "replace it with `--overwrite`."
        )


def run_files(output):
    """The files of a run that are in a folder."""
    return sorted(path for name in FILES for path in output.glob(name))
