"""From a run's files to its recipe and its model."""

import sys

from dca_keras._model_files import load_model_file
from dca_keras._plugins import load_plugins
from dca_keras._run_files import EPOCHS, not_a_recipe
from dca_keras.recipe import Recipe
from dca_keras.run._reading import find_file
from dca_keras.weights import load_weights


def load_recipe(run):
    """Return the `Recipe` of a run, see `Run.recipe`."""
    load_plugins()
    record = run.record
    try:
        return Recipe.from_dict(record["recipe"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        if missing := _missing_plugins(run):
            raise ValueError(f"{error}. {missing}") from error
        raise not_a_recipe(run.path("recipe"), error) from error


def load_model(run, epoch):
    """Return the model of a run, see `Run.load_model`."""
    if epoch not in EPOCHS:
        raise ValueError(
            f"`epoch` must be 'best' or 'last'. Received: {epoch!r}"
        )
    find_file(run, "recipe")
    if run.model_path == run.path("shared_model"):
        return _build_shared(run)
    path, recipe = find_file(run, EPOCHS[epoch]), run.recipe
    try:
        model = load_model_file(path)
    except ValueError as error:
        if missing := _missing_plugins(run):
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
            f"{run.path('recipe')} says {expected[0]} to {expected[1]}: "
            "they are not of one run."
        )
    return model


def _build_shared(run):
    """Build the model of a folder that `share` wrote."""
    model = run.recipe.build_model()
    loaded = load_weights(model, run.path("shared_model"))
    if loaded.new or loaded.unused:
        raise ValueError(
            f"{run.path('shared_model')} is not of the model that "
            f"{run.path('recipe')} says: {loaded}"
        )
    return model


def _missing_plugins(run):
    """Which of its plugins to name; none is imported by a file's word."""
    recipe = run.record.get("recipe")
    names = recipe.get("plugins") if isinstance(recipe, dict) else ()
    missing = [name for name in names or () if name not in sys.modules]
    if not missing:
        return ""
    options = " ".join(f"--plugin {name}" for name in missing)
    return (
        f"{run.folder} was trained with a module that is not imported: "
        f"name it, `{options}`, or import it in Python."
    )
