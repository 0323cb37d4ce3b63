"""Which model is scored on which images."""

import csv
import math
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from dca_keras._environment import environment
from dca_keras.data import read_dataset
from dca_keras.evaluation._results import write_results
from dca_keras.evaluation._scoring import evaluate_model
from dca_keras.prediction import load_run
from dca_keras.recipe import PARTS

CURVES = ("loss", "dice", "val_loss", "val_dice")


def evaluate_run(run, part="test", data_dir=None, console=None):
    """Scores a run's model, and writes the scores and pictures beside it.

    The files are those of `evaluate_on`; for another part than test they are
    called `metrics_val.json` and so on.

    Args:
        run: The folder of a run.
        part: `"train"`, `"val"` or `"test"`; the samples are those that the
            part had when the model was trained.
        data_dir: Where the dataset is now; `None` for where it was.
        console: The `rich` console for the progress; `None` is the terminal.

    Returns:
        A dictionary: what `evaluate_model` returns, and what it was measured
        on and how the model came to be (`parameters` are the trainable ones,
        `epochs` those that were finished; of the recipe's folders only the
        last name is kept).

    Raises:
        ValueError: If the run can't be loaded, or the dataset can't be read or
            lacks samples that it had.
    """
    run = Path(run)
    _check_part(part)
    model, recipe, names = load_run(run)
    splits = recipe.read_dataset(data_dir)
    samples = _find_samples(splits, names[part])
    history = _read_history(run / "history.csv")
    facts = {
        "model": recipe.model,
        "dca": recipe.dca,
        "variant": recipe.variant,
        "seed": recipe.seed,
        "data": recipe.data,
        "protocol": recipe.protocol,
        "part": part,
        "parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        **_summarize_history(history),
        "command": recipe.command(),
        "recipe": _without_paths(recipe),
    }
    return evaluate_on(
        model,
        samples,
        run,
        image_size=recipe.image_size,
        batch_size=recipe.batch_size,
        facts=facts,
        class_names=splits.class_names,
        published_batch=splits.published_batch,
        history=history,
        console=console,
    )


def evaluate_dataset(
    model,
    output,
    *,
    data,
    data_dir=None,
    part="test",
    image_size=None,
    num_classes=None,
    batch_size=8,
    facts=None,
    console=None,
):
    """Scores any model on a part of any dataset.

    Args:
        model: As in `evaluate_model`, with its `input_shape`, `(batch,
            height, width, channels)`.
        output: The folder to write to, see `evaluate_on`.
        data: Name of a dataset, one of `dca_keras.data.list_datasets()`.
        data_dir: The dataset's folder.
        part: `"train"`, `"val"` or `"test"`.
        image_size: `(height, width)` to work at; `None` is the model's.
        num_classes: 1, or the number of classes with the background; `None`
            is the dataset's own. The model must have as many.
        batch_size: Images that are predicted together.
        facts: What is known of the model, such as `{"model": "unet"}`.
        console: The `rich` console for the progress; `None` is the terminal.

    Returns:
        A dictionary, see `evaluate_on`.

    Raises:
        ValueError: If the dataset can't be read, or the model works at any
            size and `image_size` is not given.
    """
    _check_part(part)
    *sides, channels = model.input_shape[-3:]
    image_size = image_size or sides
    if None in image_size:
        raise ValueError(
            "`image_size` must be given, as the model works at any size. "
            f"Received: {image_size}. As in training is a good choice."
        )
    splits = read_dataset(
        data, data_dir, channels=channels, num_classes=num_classes
    )
    given = {"data": data, "part": part, "protocol": None}
    if data_dir is not None:
        given["data_dir"] = Path(data_dir).name
    return evaluate_on(
        model,
        getattr(splits, part),
        output,
        image_size=tuple(image_size),
        batch_size=batch_size,
        facts={"model": "a model"} | (facts or {}) | given,
        class_names=splits.class_names,
        published_batch=splits.published_batch,
        console=console,
    )


def evaluate_on(
    model,
    samples,
    output,
    *,
    image_size,
    batch_size,
    facts,
    class_names=None,
    published_batch=None,
    history=None,
    console=None,
):
    """Scores a model on samples, and writes the scores and pictures.

    Writes

    - `metrics.json`, what is returned here,
    - `metrics.csv`: one line an image, with the scores of each class in
      columns such as `dice_1`; what is not defined is left empty,
    - `report.html`: the same for a reader, with pictures, in one page,
    - `predictions.png`: masks and errors of up to six images.

    For another part than test it writes `metrics_val.json` and so on.

    Args:
        model: As in `evaluate_model`.
        samples: The `Sample`s to score it on.
        output: The folder to write to.
        image_size: `(height, width)` to work at.
        batch_size: Images that are predicted together.
        facts: What was measured on and how the model came to be: `model`,
            `data` and `part` at least, and `protocol` where it is known.
        class_names: As in `dca_keras.data.Splits`.
        published_batch: Images that `published` pools; `None` is
            `batch_size`.
        history: The training's curves as columns by name, if there are.
        console: The `rich` console for the progress; `None` is the terminal.

    Returns:
        A dictionary: `facts`, versions and hardware, the names of the
        classes, and what `evaluate_model` returns.

    Raises:
        ValueError: See `evaluate_model`.
    """
    console = console or Console(stderr=True)
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
            published_batch=published_batch,
            on_done=lambda: bar.advance(task),
        )
    result = {
        **facts,
        **environment(),
        "image_size": list(image_size),
        "class_names": _name_classes(class_names, scores["per_class"]),
        **scores,
    }
    write_results(Path(output), result, model, samples, history)
    return result


def _check_part(part):
    if part not in PARTS:
        raise ValueError(f"`part` must be one of {PARTS}. Received: {part!r}")


def _without_paths(recipe):
    """The recipe as JSON has it; of folders only the last name is kept."""
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in recipe.to_dict().items()
    }
    for name in ("data_dir", "cache"):
        if values[name] is not None:
            values[name] = Path(values[name]).name
    return values


def _name_classes(class_names, indices):
    """What readers call the classes, by index."""
    if len(indices) == 1:
        return {"1": "foreground"}
    names = ("background", *(class_names or ()))
    if len(names) != len(indices):  # Not the dataset's own classes.
        names = names[:1]
    return {
        index: names[int(index)]
        if int(index) < len(names)
        else f"class {index}"
        for index in indices
    }


def _find_samples(splits, names):
    samples = {
        sample.name: sample
        for part in PARTS
        for sample in getattr(splits, part)
    }
    if missing := [name for name in names if name not in samples]:
        raise ValueError(
            f"The dataset lacks {len(missing)} of the {len(names)} samples "
            f"that it had when the model was trained: {', '.join(missing[:10])}"
            ". Restore them, or give the folder they lie in as `data_dir`."
        )
    return [samples[name] for name in names]


def _read_history(path):
    """The columns of a run's history, by name."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        names = {"epoch", "val_dice", "seconds"}
        names |= set(CURVES) & rows[0].keys()
        return {
            name: [float(row[name]) for row in rows] for name in sorted(names)
        }
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is not a run's history: {error!r}") from error


def _summarize_history(history):
    scores = history["val_dice"]
    return {
        "epochs": len(scores),
        "best_epoch": int(history["epoch"][scores.index(max(scores))]),
        "training_seconds": round(sum(history["seconds"]), 2),
    }
