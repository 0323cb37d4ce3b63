"""What a run's files are called, and what its `recipe.json` says."""

import json
from pathlib import Path

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


def read_record(path: Path) -> dict:
    """Return what a run's `recipe.json` says.

    Raises:
        ValueError: If it is broken.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise not_a_recipe(path, error) from error


def not_a_recipe(path: Path, error: Exception) -> ValueError:
    """Return the error that says that a file is not a run's `recipe.json`."""
    return ValueError(f"{path} is not a run's recipe: {error!r}")
