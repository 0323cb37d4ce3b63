"""Score any model, on a data set or on samples, and write what was found."""

import typing
from collections.abc import Sequence
from pathlib import Path

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from dca_keras._environment import environment
from dca_keras.data import Preprocessing, Sample, read_dataset
from dca_keras.evaluation._grids import (
    OriginalGrid,
    ResizedGrid,
    choose_grid,
    original_samples,
)
from dca_keras.evaluation._results import write_results
from dca_keras.evaluation._scoring import evaluate_model
from dca_keras.recipe import check_split

if typing.TYPE_CHECKING:
    import pandas as pd


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
    check_split(split)
    *sides, channels = model.input_shape[1:]
    image_size = image_size or sides
    original = choose_grid(grid, len(sides) == 3)
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
