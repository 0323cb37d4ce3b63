"""The command line that a recipe stands for."""

import dataclasses
import shlex

from dca_keras._fields import to_words
from dca_keras.recipe._numbers import follows_data, make_recipe

# What follows from a data set that has no numbers in `recipes.toml`; the
# rules are in `planning`.
FOLLOWING = (
    *("channels", "num_classes", "spacing", "filters", "patch_size"),
    *("image_size", "sampling", "batch_size", "cache", "epochs", "minutes"),
    *("learning_rate", "schedule", "warmup_epochs", "loss", "augment"),
    *("augment_intensity", "dtype"),
)


def write_command(recipe):
    """Return the command line that trains a recipe, see `Recipe.command`."""
    words = ["dca-keras", "train", "--model", recipe.model]
    words += ["--data", recipe.data]
    base = make_recipe(recipe.model, recipe.data)
    # What would follow from the data, on another machine perhaps not so.
    named = set(FOLLOWING) if follows_data(recipe.data) else set()
    if not recipe.dca:
        named.discard("patch_size")
    for own in dataclasses.fields(recipe):
        value = getattr(recipe, own.name)
        if own.name == "plugins":
            for name in value:
                words += ["--plugin", name]
        elif own.name != "cache" and (
            value not in (None, getattr(base, own.name))
            or (own.name in named and value is not None)
        ):
            words += to_words(own, value)
    return shlex.join(words)
