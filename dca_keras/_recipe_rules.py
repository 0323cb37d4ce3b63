"""What the values of a recipe have to be."""

import math

from dca_keras.config import is_positive_int
from dca_keras.data import list_datasets
from dca_keras.data.samples import PROTOCOLS
from dca_keras.zoo import list_models

DTYPES = ("float32", "mixed_float16", "mixed_bfloat16")
SCHEDULES = ("constant", "cosine", "polynomial")
STRATEGIES = ("single", "mirrored", "multi_worker")
SWITCHES = (
    "partial",
    "empty_masks",
    "skip_broken",
    "dca",
    "per_image_loss",
    "augment",
    "sync_batch_norm",
)
COUNTS = ("channels", "num_classes", "epochs", "batch_size")


def check_recipe(recipe):
    """Raises `ValueError` that names the first wrong value and its rule."""
    for name, rule, holds in _rules(recipe):
        if not holds:
            raise ValueError(
                f"`{name}` must be {rule}. Received: {getattr(recipe, name)!r}"
            )


def _rules(recipe):
    """For every field its name, its rule, and whether the rule holds."""
    return (
        ("model", _one_of(list_models()), recipe.model in list_models()),
        ("data", _one_of(list_datasets()), recipe.data in list_datasets()),
        ("data_dir", "a path", isinstance(recipe.data_dir, str | None)),
        ("cache", "memory, none or a folder", isinstance(recipe.cache, str)),
        ("protocol", _one_of(PROTOCOLS), recipe.protocol in PROTOCOLS),
        (
            "image_size",
            "two positive integers, (height, width)",
            _are_whole(recipe.image_size) and len(recipe.image_size) == 2,
        ),
        *(
            (name, "a positive integer", is_positive_int(getattr(recipe, name)))
            for name in COUNTS
        ),
        (
            "filters",
            "positive integers, one a stage",
            recipe.filters is None or _are_whole(recipe.filters),
        ),
        (
            "learning_rate",
            "a positive number",
            isinstance(recipe.learning_rate, int | float)
            and 0 < recipe.learning_rate < math.inf,
        ),
        ("schedule", _one_of(SCHEDULES), recipe.schedule in SCHEDULES),
        (
            "patience",
            "a positive integer, or left out",
            recipe.patience is None or is_positive_int(recipe.patience),
        ),
        *(
            (name, "true or false", isinstance(getattr(recipe, name), bool))
            for name in SWITCHES
        ),
        (
            "seed",
            "an integer from 0",
            type(recipe.seed) is int and recipe.seed >= 0,
        ),
        ("dtype", _one_of(DTYPES), recipe.dtype in DTYPES),
        ("strategy", _one_of(STRATEGIES), recipe.strategy in STRATEGIES),
    )


def _one_of(names):
    return "one of " + ", ".join(map(repr, names))


def _are_whole(values):
    is_sequence = isinstance(values, tuple) and len(values) > 0
    return is_sequence and all(map(is_positive_int, values))
