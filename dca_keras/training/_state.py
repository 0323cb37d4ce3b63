"""Which run is in a folder, and whether it can be resumed."""

import math
import os

from dca_keras._environment import environment
from dca_keras.recipe import SPLITS
from dca_keras.run import Checkpoint

# Of a recipe, what may be another when a run is resumed.
MAY_CHANGE = (
    *("plugins", "data_dir", "classes", "cache"),
    *("epochs", "minutes", "patience", "strategy"),
)


def describe_run(recipe, splits, timing=None):
    """Return what `recipe.json` says.

    Args:
        recipe: The recipe.
        splits: Its data set's `Splits`.
        timing: How its epochs were chosen, if they were.
    """
    return {
        "recipe": recipe.to_dict(),
        **({} if timing is None else {"timing": timing}),
        "samples": {
            split: [sample.name for sample in getattr(splits, split)]
            for split in SPLITS
        },
        **environment(),
    }


def check_folder(run, may_hold_run):
    """Raise `ValueError` if a run can't be written to its folder."""
    if run.folder.exists() and not run.folder.is_dir():
        raise ValueError(f"`--output` {run.folder} is a file. Name a folder.")
    found = [path.name for path in run.files()]
    if found and not may_hold_run:
        raise ValueError(
            f"{run.folder} already holds a run ({', '.join(found)}). Choose "
            "another folder with `--output`, go on with it with `--resume`, or "
            "replace it with `--overwrite`."
        )


def find_state(run, record):
    """Find the state that a run can be resumed from.

    Args:
        run: A `Run`.
        record: What `describe_run` says of the run that is asked for.

    Returns:
        A `dca_keras.run.Checkpoint`.

    Raises:
        ValueError: If the folder holds a run of another recipe or of other
            images, or only damaged checkpoints.
    """
    if not run.path("recipe").exists():
        return Checkpoint([])
    _check_recipe(run, record["recipe"])
    if run.samples != record["samples"]:
        raise ValueError(
            f"The data set is not the one that {run.folder} was begun with: "
            "images were added, taken away or moved to another split. Restore "
            "it, or choose another folder with `--output`."
        )
    return run.read_checkpoint()


def check_fingerprint(run, fingerprint):
    """Raise `ValueError` if a run was begun with images of another kind."""
    if not run.path("fingerprint").is_file() or fingerprint is None:
        return
    before, now = run.fingerprint.to_dict(), fingerprint.to_dict()
    for name, value in before.items():
        if _differ(value, now[name]):
            raise ValueError(
                f"The data set is not the one that {run.folder} was begun "
                f"with: `{name}` was {value} and is {now[name]}. Restore it, "
                "or choose another folder with `--output`."
            )


def _differ(before, now):
    if isinstance(before, tuple) and isinstance(now, tuple):
        return len(before) != len(now) or any(map(_differ, before, now))
    if isinstance(before, float) and isinstance(now, float):
        return not math.isclose(before, now, rel_tol=1e-3, abs_tol=1e-6)
    return before != now


def use_previous(run, state, console):
    """Let the state that was read take the place of a damaged checkpoint."""
    console.print(
        f"{state.damage} Resumed from the checkpoint before it, after epoch "
        f"{len(state.epochs)}.",
        **{"soft_wrap": True, "markup": False, "highlight": False},
    )
    os.replace(run.path("previous_checkpoint"), run.path("checkpoint"))


def _check_recipe(run, now):
    old = run.recipe
    before = old.to_dict()
    changed = [name for name in now if now[name] != before[name]]
    may_change = set(MAY_CHANGE)
    if old.schedule != "constant":
        may_change.remove("epochs")  # They say how fast the rate falls.
    if wrong := [name for name in changed if name not in may_change]:
        raise ValueError(
            f"{run.folder} holds a run with other settings, so it can't be "
            "resumed: "
            + ", ".join(
                f"`{name}` was {before[name]!r} and is {now[name]!r}"
                for name in wrong
            )
            + ". Give the same, or choose another folder with `--output`."
        )
