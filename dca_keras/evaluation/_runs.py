"""Which model is scored on which images."""

import math
import typing
from collections.abc import Sequence
from pathlib import Path

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from dca_keras._environment import environment
from dca_keras.data import Preprocessing, Sample, read_dataset
from dca_keras.evaluation._grids import (
    GRIDS,
    OriginalGrid,
    ResizedGrid,
    original_samples,
)
from dca_keras.evaluation._results import write_results
from dca_keras.evaluation._scoring import evaluate_model
from dca_keras.recipe import PATHS, SPLITS
from dca_keras.run import Run

if typing.TYPE_CHECKING:
    import pandas as pd


def evaluate_run(
    run: str | Path | Run,
    split: str = "test",
    data_dir: str | Path | None = None,
    console: Console | None = None,
    grid: str | None = None,
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

    Returns:
        A dictionary: what `evaluate_model` returns, what was scored, and how
        the model was trained (`parameters` are the trainable ones, `epochs`
        the finished ones; of the recipe's folders only the last name is
        kept).

    Raises:
        ValueError: If the run can't be loaded, or the data set can't be read
            or lacks samples that it had.
    """
    run = run if isinstance(run, Run) else Run(run)
    _check_split(split)
    model, recipe = run.load_model(), run.recipe
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
        "parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        **_summarize_history(run),
        "command": run.command,
        "recipe": _without_paths(recipe),
    }
    return evaluate_on(
        model,
        _find_samples(splits, run.samples[split]),
        run.folder,
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
    _check_split(split)
    return _find_samples(run.read_splits(data_dir), run.samples[split])


def run_grid(run: Run, grid: str | None = None) -> OriginalGrid | None:
    """Return the grid that a run is scored on, None for the resized images.

    Args:
        run: A `Run`.
        grid: As in `evaluate_run`.
    """
    cropped = run.recipe.sampling == "crop"
    whole = cropped or len(run.recipe.image_size) == 3
    if not _choose_grid(grid, whole):
        return None
    return OriginalGrid(run.preprocessing, cropped or None)


def evaluate_dataset(
    model: keras.Model,
    output: str | Path,
    *,
    data: str,
    data_dir: str | Path | None = None,
    split: str = "test",
    image_size: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    batch_size: int = 8,
    grid: str | None = None,
    preprocessing: Preprocessing | None = None,
    facts: dict | None = None,
    console: Console | None = None,
) -> dict:
    """Score any model on a split of any data set.

    Args:
        model: As in `evaluate_model`, with its `input_shape` and
            `output_shape`, `(batch, height, width, channels)` or one side
            more for volumes.
        output: The folder to write to, see `evaluate_on`.
        data: Name of a data set, one of `dca_keras.data.list_datasets()`.
        data_dir: The data set's folder.
        split: `"train"`, `"val"` or `"test"`.
        image_size: `(height, width)` to work at; None is the model's.
        num_classes: 1, or the number of classes with the background; None
            is the data set's own. The model must have as many.
        batch_size: Images that are predicted together.
        grid: As in `evaluate_run`; None is "original" for a 3-D model.
        preprocessing: For volumes in their files' own values, what was done
            to them in training, a `dca_keras.data.Preprocessing`.
        facts: What is known of the model, such as `{"model": "unet"}`.
        console: The `rich` console for the progress; None is the terminal.

    Returns:
        A dictionary, see `evaluate_on`.

    Raises:
        ValueError: If the data set can't be read, the model takes images of
            any size and `image_size` is not given, or the data set holds
            volumes and `preprocessing` is not given.
    """
    _check_split(split)
    *sides, channels = model.input_shape[1:]
    image_size = image_size or sides
    original = _choose_grid(grid, len(sides) == 3)
    if None in image_size and not original:
        raise ValueError(
            "`image_size` must be given, as the model takes images of any "
            f"size. Received: {image_size}. Use the size it was trained at."
        )
    splits = read_dataset(
        data, data_dir, channels=channels, num_classes=num_classes
    )
    if splits.modalities is not None and preprocessing is None:
        raise ValueError(
            f"`preprocessing` must be given for {data}, whose volumes are in "
            "their own values: what was done to them in training."
        )
    if preprocessing is not None and not original:
        splits = preprocessing.splits(splits)
    given = {"data": data, "split": split, "protocol": None}
    if data_dir is not None:
        given["data_dir"] = Path(data_dir).name
    return evaluate_on(
        model,
        getattr(splits, split),
        output,
        image_size=tuple(image_size),
        batch_size=batch_size,
        grid=OriginalGrid(preprocessing) if original else None,
        facts={"model": "a model"} | (facts or {}) | given,
        published_batch=splits.published_batch,
        class_names=splits.class_names,
        console=console,
    )


def evaluate_on(
    model: keras.Model,
    samples: Sequence[Sample],
    output: str | Path,
    *,
    image_size: tuple[int, ...] | None,
    batch_size: int,
    facts: dict,
    grid: OriginalGrid | None = None,
    published_batch: int | None = None,
    class_names: Sequence[str] | None = None,
    history: "pd.DataFrame | None" = None,
    console: Console | None = None,
) -> dict:
    """Score a model on samples, and write the scores and pictures.

    Writes

    - `metrics.json`: what is returned here,
    - `metrics.csv`: one line an image, with the scores of each class in
      columns such as `dice_1`; a score that is not defined is left empty,
    - `report.html`: a page of tables, charts and pictures, in one file,
    - `predictions.png`: masks and errors of up to six images.

    Of another split than test the files are called `metrics_val.json` and so
    on.

    Args:
        model: As in `evaluate_model`.
        samples: The `Sample`s to score it on.
        output: The folder to write to.
        image_size: `(height, width)` to work at.
        batch_size: Images that are predicted together.
        facts: What was scored and how the model was trained: `model`, `data`
            and `split` at least, and `protocol` where it is known.
        grid: As in `evaluate_model`.
        published_batch: As in `evaluate_model`.
        class_names: As in `evaluate_model`.
        history: The scores of every epoch of the training, a DataFrame, or
            None.
        console: The `rich` console for the progress; None is the terminal.

    Returns:
        A dictionary: `facts`, versions and hardware, and what
        `evaluate_model` returns.

    Raises:
        ValueError: See `evaluate_model`.
    """
    console = console or Console(stderr=True)
    grid = grid or ResizedGrid(image_size, batch_size)
    if grid.name == "original":
        samples = original_samples(samples)
    with Progress(
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=len(samples))
        scores = evaluate_model(
            model,
            samples,
            image_size=image_size,
            batch_size=batch_size,
            grid=grid,
            published_batch=published_batch,
            class_names=class_names,
            on_done=lambda: bar.advance(task),
        )
    result = {
        **facts,
        **environment(),
        "image_size": list(image_size),
        **scores,
    }
    write_results(Path(output), result, model, samples, grid, history)
    return result


def _check_split(split):
    if split not in SPLITS:
        raise ValueError(
            f"`split` must be one of {', '.join(map(repr, SPLITS))}. "
            f"Received: {split!r}"
        )


def _choose_grid(grid, whole):
    """Whether to score at the images' own size.

    Args:
        grid: As in `evaluate_run`.
        whole: Whether the model sees windows of whole images.
    """
    if grid not in (None, *GRIDS):
        raise ValueError(
            f"`grid` must be one of {', '.join(map(repr, GRIDS))}. Received: "
            f"{grid!r}"
        )
    if grid == "resized" and whole:
        raise ValueError(
            "`grid` must be 'original' for a model that was trained on crops "
            "or volumes: its images are not resized. Received: 'resized'"
        )
    return whole or grid == "original"


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
