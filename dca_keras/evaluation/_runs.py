"""Score a run's model on a split of its data set."""

import math
from collections.abc import Iterable
from pathlib import Path

import keras
from rich.console import Console

from dca_keras.data import Sample
from dca_keras.evaluation._datasets import evaluate_on
from dca_keras.evaluation._grids import OriginalGrid, choose_grid
from dca_keras.evaluation._scoring import evaluate_model
from dca_keras.recipe import PATHS, SPLITS, check_split
from dca_keras.run import Run


def evaluate_run(
    run: str | Path | Run,
    split: str = "test",
    data_dir: str | Path | None = None,
    console: Console | None = None,
    grid: str | None = None,
    epoch: str = "best",
    output: str | Path | None = None,
) -> dict:
    """Score a run's model, and write the scores and pictures beside it.

    The files are those of `evaluate_on`. A run that was trained on crops, or
    on volumes, is predicted in windows over whole images.

    Args:
        run: The folder of a run, or a `Run`.
        split: `"train"`, `"val"` or `"test"`; the samples are those that the
            split had when the model was trained.
        data_dir: Where the data set is now; None for where it was.
        console: The `rich` console for the progress; None is the terminal.
        grid: What prediction and truth are compared at: `"resized"`, the size
            the model works at, as published, or `"original"`, each image's
            own; None is "original" for a run that was trained on crops or
            volumes, and else "resized".
        epoch: `"best"` or `"last"`: the epoch that was best on the validation
            split, or the last one, which owes nothing to that split's images.
        output: The folder to write to; None is the run's own, which holds
            the scores of the best epoch only.

    Returns:
        A dictionary: what `evaluate_model` returns, what was scored, and how
        the model was trained (`parameters` are the trainable ones, `epochs`
        the finished ones; of the recipe's folders only the last name is
        kept).

    Raises:
        ValueError: If the run can't be loaded, or the data set can't be read
            or lacks samples that it had; or the last epoch's scores would
            stand where the best one's belong.
    """
    run = run if isinstance(run, Run) else Run(run)
    check_split(split)
    output = run.folder if output is None else Path(output)
    if epoch == "last" and output.resolve() == run.folder.resolve():
        raise ValueError(
            "`output` must be given for the last epoch, and not be the run's "
            f"folder, {run.folder}, which holds the scores of the best epoch."
        )
    model, recipe = run.load_model(epoch), run.recipe
    grid = run_grid(run, grid)
    splits = run.read_splits(data_dir)
    facts = {
        "model": recipe.model,
        "dca": recipe.dca,
        "variant": recipe.variant,
        "seed": recipe.seed,
        "data": recipe.data,
        "protocol": recipe.protocol,
        "split": split,
        "epoch": epoch,
        "parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        **_summarize_history(run),
        "command": run.command,
        "recipe": _without_paths(recipe),
    }
    return evaluate_on(
        model,
        _find_samples(splits, run.samples[split]),
        output,
        image_size=recipe.image_size,
        batch_size=recipe.batch_size,
        grid=grid,
        facts=facts,
        published_batch=splits.published_batch,
        class_names=splits.class_names,
        history=run.history,
        console=console,
    )


def run_samples(
    run: Run, split: str = "test", data_dir: str | Path | None = None
) -> list[Sample]:
    """Return the samples that a split of a run had when it was trained.

    Args:
        run: A `Run`.
        split: `"train"`, `"val"` or `"test"`.
        data_dir: As in `evaluate_run`.

    Raises:
        ValueError: If the data set can't be read, or lacks some of them.
    """
    check_split(split)
    return _find_samples(run.read_splits(data_dir), run.samples[split])


def run_dice(run: Run, model: keras.Model, samples: Iterable[Sample]) -> float:
    """Return the mean Dice of a model, scored as a run's own model is.

    Args:
        run: A `Run`: its image size, batch size and grid are used.
        model: Its model, or another with the same input and output.
        samples: Such as `run_samples` returns.

    Raises:
        ValueError: As `evaluate_model`.
    """
    scores = evaluate_model(
        model,
        samples,
        image_size=run.recipe.image_size,
        batch_size=run.recipe.batch_size,
        grid=run_grid(run),
    )
    return scores["dice"]


def run_grid(run: Run, grid: str | None = None) -> OriginalGrid | None:
    """Return the grid that a run is scored on, None for the resized images.

    Args:
        run: A `Run`.
        grid: As in `evaluate_run`.
    """
    cropped = run.recipe.sampling == "crop"
    whole = cropped or len(run.recipe.image_size) == 3
    if not choose_grid(grid, whole):
        return None
    return OriginalGrid(run.preprocessing, cropped or None)


def _without_paths(recipe):
    """The recipe as JSON has it; of folders only the last name is kept."""
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in recipe.to_dict().items()
    }
    for name in (*PATHS, "weights"):
        if values[name] is not None:
            values[name] = Path(values[name]).name
    return values


def _find_samples(splits, names):
    samples = {
        sample.name: sample
        for split in SPLITS
        for sample in getattr(splits, split)
    }
    if missing := [name for name in names if name not in samples]:
        raise ValueError(
            f"The data set lacks {len(missing)} of the {len(names)} samples "
            f"that it had when the model was trained: {', '.join(missing[:10])}"
            ". Restore them, or give the data set's folder as `data_dir`."
        )
    return [samples[name] for name in names]


def _summarize_history(run):
    history = run.history
    try:
        return {
            "epochs": len(history),
            "best_epoch": int(run.best_epoch["epoch"]),
            "training_seconds": round(float(history["seconds"].sum()), 2),
        }
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{run.path('history')} is not a run's history: {error!r}"
        ) from error
