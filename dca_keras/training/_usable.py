"""A recipe's data set, ready to be trained on."""

import dataclasses
import typing

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
)

from dca_keras.data import (
    Fingerprint,
    Preprocessing,
    Splits,
    check_samples,
    describe_strays,
    measure,
)
from dca_keras.recipe import SPLITS, Recipe


class Dataset(typing.NamedTuple):
    """A recipe's samples as a network is given them, and how they became so.

    Attributes:
        splits: The `Splits`, preprocessed.
        fingerprint: What was measured of them; None if nothing was.
        preprocessing: What is done to them; None if nothing is.
    """

    splits: Splits
    fingerprint: Fingerprint | None
    preprocessing: Preprocessing | None


def open_dataset(
    recipe: Recipe, console: Console, fingerprint: Fingerprint | None = None
) -> "Dataset":
    """Read a recipe's data set, check every sample, and preprocess it.

    Args:
        recipe: A `Recipe`.
        console: The `rich` console for the progress.
        fingerprint: What `measure` said of the data set; None to measure it
            where it is needed.

    Returns:
        The `Dataset`, with the samples of `read_usable`.

    Raises:
        ValueError: If the data set can't be read, or samples can't be used.
    """
    splits = _read_usable(recipe, console)
    if splits.modalities is None:
        return Dataset(splits, fingerprint, None)
    fingerprint = fingerprint or measure(splits)
    preprocessing = Preprocessing.of(fingerprint, recipe.spacing)
    return Dataset(preprocessing.splits(splits), fingerprint, preprocessing)


def read_usable(recipe: Recipe, console: Console) -> Splits:
    """Read a recipe's data set and load every sample once.

    Args:
        recipe: A `Recipe`.
        console: The `rich` console for the progress.

    Returns:
        The `Splits`, preprocessed if they are volumes. Where
        `recipe.skip_broken` is true, they are without the samples that can't
        be used, which are listed on the console.

    Raises:
        ValueError: If the data set can't be read, or samples can't be used.
    """
    return open_dataset(recipe, console).splits


def _read_usable(recipe, console):
    splits = recipe.read_dataset()
    if strays := describe_strays(splits):
        console.print(strays, soft_wrap=True, markup=False)
    # The test split of the paper's protocol is its validation split.
    names = SPLITS if splits.protocol == "held_out" else ("train", "val")
    samples = {name: getattr(splits, name) for name in names}
    good, errors = _load_all(samples, recipe, console)
    if not errors:
        return splits
    for error in errors:
        console.print(f"Skipped: {error}", soft_wrap=True, markup=False)
    kept = {sample.name for sample in good}
    samples = {
        name: tuple(sample for sample in own if sample.name in kept)
        for name, own in samples.items()
    }
    if empty := [name for name, own in samples.items() if not own]:
        raise ValueError(
            f"Without the broken images, {', '.join(empty)} would be empty. "
            "Repair or replace them."
        )
    return dataclasses.replace(splits, **{"test": samples["val"]} | samples)


def _load_all(samples, recipe, console):
    """Return the samples that can be used, and what is wrong with the rest."""
    columns = (TextColumn("checking images"), BarColumn(), MofNCompleteColumn())
    samples = [sample for own in samples.values() for sample in own]
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=len(samples))
        return check_samples(
            samples,
            on_checked=lambda: bar.advance(task),
            skip_broken=recipe.skip_broken,
            allow_empty=recipe.empty_masks,
        )
