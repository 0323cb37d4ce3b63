"""What a training run leaves, loaded at once."""

from pathlib import Path

import keras

from dca_keras.recipe import Recipe
from dca_keras.run import Run


def load_run(
    run: str | Path,
) -> tuple[keras.Model, Recipe, dict[str, list[str]]]:
    """Load what `train` left in a folder.

    `dca_keras.Run` has the same and more, one thing at a time.

    Args:
        run: The run's folder.

    Returns:
        The model with its best weights, not compiled; the `Recipe`; and the
        names of the samples it was made with, `{"train": [...], ...}`.

    Raises:
        ValueError: If `model.keras` or `recipe.json` is missing, broken or
            not of this package.
    """
    run = Run(run)
    return run.load_model(), run.recipe, run.samples
