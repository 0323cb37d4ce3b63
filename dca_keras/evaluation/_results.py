"""The files that tell what a model scored."""

import csv
import io

import numpy as np
from PIL import Image

from dca_keras._files import write_json, write_text
from dca_keras.data import resize_image, resize_mask
from dca_keras.evaluation._charts import draw_distribution, draw_history
from dca_keras.evaluation._report import write_report
from dca_keras.evaluation._scores import SCORES
from dca_keras.evaluation._wording import name_data, name_model
from dca_keras.plotting import (
    Case,
    draw_outlines,
    draw_overlay,
    pick_cases,
    save_predictions,
)
from dca_keras.prediction import to_mask
from dca_keras.run import Run

REPORTED = ("best", "median", "worst")


def write_results(output, result, model, samples, history=None):
    """Writes the scores of a model, its pictures and its report.

    They are described at `dca_keras.evaluation.evaluate_on`.

    Args:
        output: The folder to write to, a `Path`.
        result: What `metrics.json` is to hold.
        model: The model that was scored.
        samples: The `Sample`s it was scored on.
        history: The training's curves as columns by name, if there are.
    """
    split, run = result["split"], Run(output)
    cases = dict(_load_cases(model, samples, result))
    write_json(run.path("metrics", split), result)
    write_text(run.path("metrics_table", split), _to_csv(result))
    save_predictions(
        run.path("pictures", split),
        list(cases.values()),
        title=f"{name_model(result)} on {name_data(result)}, {split}: "
        f"mean Dice {result['dice']:.3f}",
    )
    write_report(
        run.path("report", split),
        result,
        pictures=[
            (case.label.replace("\n", ": "), _draw_case(case))
            for label, case in cases.items()
            if label in REPORTED
        ],
        distribution=draw_distribution(_dice_by_class(result)),
        curve=draw_history(history) if history is not None else None,
    )


def _to_csv(result):
    classes = result["class_names"]
    names = (*SCORES, "true_pixels", "predicted_pixels")
    columns = [f"{name}_{index}" for index in classes for name in names]
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["name", "case", "dice", "iou", *columns, "distance_unit"])
    for image in result["per_image"]:
        scores = [
            image["per_class"][index][name]
            for index in classes
            for name in names
        ]
        first = [image[name] for name in ("name", "case", "dice", "iou")]
        rows.writerow([*first, *scores, result["distance_unit"]])
    return file.getvalue()


def _load_cases(model, samples, result):
    """The images to show, from best to worst, each with what it shows."""
    rows = result["per_image"]
    # Where nothing is there and nothing was found, there is nothing to see.
    telling = [i for i, row in enumerate(rows) if not _is_empty(row)]
    telling = telling or range(len(rows))
    for label, place in pick_cases([rows[i]["dice"] for i in telling]):
        index = telling[place]
        image, truth = samples[index].load()
        image = resize_image(image, result["image_size"])
        found = np.asarray(model.predict_on_batch(image[None]))[0]
        name, dice = rows[index]["name"], rows[index]["dice"]
        yield (
            label,
            Case(
                label=f"{label}, Dice {dice:.3f}\n{name}",
                image=image,
                truth=resize_mask(truth, result["image_size"])[..., 0],
                prediction=to_mask(found),
            ),
        )


def _is_empty(row):
    """Whether neither mask of an image holds any of the classes."""
    return not any(
        scores["true_pixels"] or scores["predicted_pixels"]
        for index, scores in row["per_class"].items()
        if index != "0"
    )


def _draw_case(case):
    return {
        "image": _to_png(draw_overlay(case.image, 0 * case.truth)),
        "truth": _to_png(draw_overlay(case.image, case.truth)),
        "prediction": _to_png(draw_overlay(case.image, case.prediction)),
        "outlines": _to_png(
            draw_outlines(case.image, case.truth, case.prediction)
        ),
    }


def _dice_by_class(result):
    return {
        name: [row["per_class"][index]["dice"] for row in result["per_image"]]
        for index, name in result["class_names"].items()
        if index != "0"
    }


def _to_png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return file.getvalue()
