"""The images of a recipe, each loaded once before any work starts."""

import dataclasses

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
)

from dca_keras.data import check_samples
from dca_keras.recipe import PARTS


def read_usable(recipe, console):
    """Reads a recipe's dataset and loads every sample once.

    Args:
        recipe: A `Recipe`.
        console: The `rich` console for the progress.

    Returns:
        The `Splits`, less the samples that can't be used where the recipe
        says to go on without; these are listed on the console.

    Raises:
        ValueError: If the dataset can't be read, or samples can't be used.
    """
    splits = recipe.read_dataset()
    names = PARTS if splits.protocol == "held_out" else ("train", "val")
    parts = {name: getattr(splits, name) for name in names}
    columns = (TextColumn("checking images"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=sum(map(len, parts.values())))
        samples = [sample for part in parts.values() for sample in part]
        good, errors = check_samples(
            samples,
            on_checked=lambda: bar.advance(task),
            skip_broken=recipe.skip_broken,
            allow_empty=recipe.empty_masks,
        )
    if not errors:
        return splits
    for error in errors:
        console.print(f"Skipped: {error}", soft_wrap=True, markup=False)
    kept = {sample.name for sample in good}
    parts = {
        name: tuple(sample for sample in part if sample.name in kept)
        for name, part in parts.items()
    }
    if empty := [name for name, part in parts.items() if not part]:
        raise ValueError(
            f"Without the broken images, {', '.join(empty)} would be empty. "
            "Mend them."
        )
    if "test" not in parts:
        parts["test"] = parts["val"]
    return dataclasses.replace(splits, **parts)
