"""Scores of trained models on held-out images."""

import csv
import importlib
import math
import os
import platform
from pathlib import Path

import keras
import numpy as np

from dca_keras import _overlap
from dca_keras._files import write_json
from dca_keras.data import make_dataset, resize_image, resize_mask
from dca_keras.plotting import Case, pick_cases, save_predictions
from dca_keras.prediction import load_run, predict, to_mask
from dca_keras.recipes import PARTS

SMOOTH = 1.0  # as published


def evaluate_model(model, samples, *, image_size, batch_size):
    """Scores a model on samples.

    Image and mask are resized to the size the model works at, as published.
    The scores are those of `dca_keras.metrics` with their defaults: the mean
    over the classes, the background among them when there are several, with
    1 added to both sides of the fraction. So an image whose mask and
    prediction are both empty scores 1, and any prediction on an empty mask
    scores near 0.

    Args:
        model: A model that returns probabilities.
        samples: The `Sample`s to score it on.
        image_size: `(height, width)` to work at.
        batch_size: Images that are predicted together; no score depends on it.

    Returns:
        A dictionary: `dice` and `iou`, the means of the images' own scores;
        `dice_pooled`, the Dice coefficient of all pixels of all images taken
        as one; `images`, their number; and `per_image`, a list of `{"name",
        "dice", "iou"}` in the samples' order.
    """
    sums = []
    for images, masks in make_dataset(samples, image_size, batch_size):
        probabilities = model.predict_on_batch(np.asarray(images))
        classes = probabilities.shape[-1]
        found = to_mask(probabilities)[..., None]
        found = keras.ops.convert_to_tensor(found, "float32")
        batch = _overlap.overlap_sums(
            np.asarray(masks),
            _overlap.class_maps(found, classes),
            per_image=True,
            include_background=True,
        )
        sums.append(np.stack([keras.ops.convert_to_numpy(s) for s in batch]))
    sums = np.concatenate(sums, axis=1)  # (3, images, classes)
    dice, iou = _scores(sums)
    return {
        "dice": float(np.mean(dice)),
        "iou": float(np.mean(iou)),
        "dice_pooled": float(_scores(sums.sum(axis=1, keepdims=True))[0][0]),
        "images": len(samples),
        "per_image": [
            {"name": sample.name, "dice": float(d), "iou": float(i)}
            for sample, d, i in zip(samples, dice, iou, strict=True)
        ],
    }


def evaluate_run(run, part="test", data_dir=None):
    """Scores a run's model, and writes the scores and a picture beside it.

    Writes `metrics.json`, what is returned here, and `predictions.png`; for
    another part than test `metrics_val.json` and so on.

    Args:
        run: The folder of a run.
        part: `"train"`, `"val"` or `"test"`; the samples are those that the
            part had when the model was trained.
        data_dir: Where the dataset is now; `None` for where it was.

    Returns:
        A dictionary: what `evaluate_model` returns, and what it was measured
        on and how the model came to be (`parameters` are the trainable ones,
        `epochs` those that were finished).

    Raises:
        ValueError: If the run can't be loaded, or the dataset can't be read or
            lacks samples that it had.
    """
    run = Path(run)
    if part not in PARTS:
        raise ValueError(f"`part` must be one of {PARTS}. Received: {part!r}")
    model, recipe, names = load_run(run)
    samples = _find_samples(recipe, names[part], data_dir)
    scores = evaluate_model(
        model,
        samples,
        image_size=recipe.image_size,
        batch_size=recipe.batch_size,
    )
    result = {
        "model": recipe.model,
        "dca": recipe.dca,
        "seed": recipe.seed,
        "data": recipe.data,
        "protocol": recipe.protocol,
        "part": part,
        "parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        **_read_history(run / "history.csv"),
        "command": recipe.command(),
        **environment(),
        **scores,
    }
    suffix = "" if part == "test" else f"_{part}"
    write_json(run / f"metrics{suffix}.json", result)
    save_predictions(
        run / f"predictions{suffix}.png",
        _draw_cases(model, samples, scores["per_image"], recipe.image_size),
        title=f"{model.name} on {recipe.data}, {part}: "
        f"mean Dice {scores['dice']:.3f}",
    )
    return result


def environment():
    """Versions and hardware, with nothing that tells whose machine it is."""
    modules = ("dca_keras", "keras", "tensorflow", "numpy")
    backend = keras.backend.backend()
    hardware = {"processor": _processor(), "cpus": os.cpu_count()}
    if backend != "torch":  # There, Keras can't list devices.
        hardware["devices"] = keras.distribution.list_devices()
    return {
        "versions": {
            "python": platform.python_version(),
            **{m: importlib.import_module(m).__version__ for m in modules},
            "backend": backend,
        },
        "hardware": hardware,
    }


def _find_samples(recipe, names, data_dir):
    splits = recipe.read_dataset(data_dir)
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
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        best = max(rows, key=lambda row: float(row["val_dice"]))
        return {
            "epochs": len(rows),
            "best_epoch": int(best["epoch"]),
            "training_seconds": round(
                sum(float(row["seconds"]) for row in rows), 2
            ),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a run's history: {error!r}") from error


def _draw_cases(model, samples, scores, image_size):
    cases = []
    for label, index in pick_cases([score["dice"] for score in scores]):
        image, truth = samples[index].load()
        image = resize_image(image, image_size)
        name, dice = scores[index]["name"], scores[index]["dice"]
        cases.append(
            Case(
                label=f"{label}, Dice {dice:.3f}\n{name}",
                image=image,
                truth=resize_mask(truth, image_size)[..., 0],
                prediction=to_mask(predict(model, image)),
            )
        )
    return cases


def _scores(sums):
    """Dice and IoU from intersections, predictions and targets."""
    sums = [keras.ops.convert_to_tensor(part) for part in sums]
    return tuple(
        keras.ops.convert_to_numpy(score(*sums, SMOOTH))
        for score in (_overlap.dice, _overlap.iou)
    )


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # Not Linux.
        return platform.processor()
    names = [line for line in lines if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()
