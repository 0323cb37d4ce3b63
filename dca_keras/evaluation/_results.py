"""The files that say what a model scored."""

import io

import pandas as pd
from PIL import Image

from dca_keras._drawing import to_rgb
from dca_keras._files import write_json, write_text
from dca_keras.evaluation._charts import draw_distribution, draw_history
from dca_keras.evaluation._report import write_report
from dca_keras.evaluation._table import score_table
from dca_keras.evaluation._wording import name_data, name_model
from dca_keras.plotting import (
    Case,
    cut_planes,
    draw_outlines,
    draw_overlay,
    find_structure,
    pick_cases,
    save_predictions,
)
from dca_keras.run import Run

REPORTED = ("best", "median", "worst")


def write_results(output, result, model, samples, grid, history=None):
    """Write the scores of a model, its pictures and its report.

    The files are described at `dca_keras.evaluation.evaluate_on`.

    Args:
        output: The folder to write to, a `Path`.
        result: What `metrics.json` is to hold.
        model: The model that was scored.
        samples: The `Sample`s it was scored on.
        grid: The `ResizedGrid` or `OriginalGrid` it was scored on.
        history: The scores of every epoch of the training, a DataFrame, or
            None.
    """
    split, run = result["split"], Run(output)
    cases = dict(_load_cases(model, samples, grid, result))
    write_json(run.path("metrics", split), result)
    write_text(run.path("metrics_table", split), _to_csv(result))
    save_predictions(
        run.path("pictures", split),
        list(cases.values()),
        title=f"{name_model(result)} on {name_data(result)}, {split}: "
        f"mean Dice {result['dice']:.3f}",
        class_names=list(result["class_names"].values())[1:],
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
        curve=None
        if history is None
        else draw_history(history, result.get("best_epoch")),
    )


def _to_csv(result):
    """A line an image, with the scores of every class in columns."""
    lines = [
        {name: row[name] for name in ("name", "case", "dice", "iou")}
        | {
            f"{score}_{index}": value
            for index, scores in row["per_class"].items()
            for score, value in scores.items()
        }
        | {"distance_unit": result["distance_unit"]}
        for row in result["per_image"]
    ]
    return pd.DataFrame(lines).to_csv(index=False, lineterminator="\n")


def _load_cases(model, samples, grid, result):
    """The images to show, from best to worst, each with what it shows."""
    rows = result["per_image"]
    # An image whose masks are both empty shows nothing.
    shown = [i for i, row in enumerate(rows) if not _is_empty(row)]
    shown = shown or range(len(rows))
    channels = result.get("recipe", {}).get("shown_channels")
    for label, place in pick_cases([rows[i]["dice"] for i in shown]):
        index = shown[place]
        (pair,) = grid.pairs(model, samples[index : index + 1])
        image = to_rgb(grid.picture(samples[index]), channels)
        parts = image, pair.truth, pair.prediction
        if pair.truth.ndim == 3:
            planes = find_structure(pair.truth, pair.prediction)
            spacing = samples[index].spacing
            parts = (cut_planes(part, planes, spacing) for part in parts)
        name, dice = rows[index]["name"], rows[index]["dice"]
        yield label, Case(f"{label}, Dice {dice:.3f}\n{name}", *parts)


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
    table = score_table(result)
    dice = table[table["score"] == "dice"].groupby("class")["value"]
    return {
        name: dice.get_group(name).to_numpy()
        for index, name in result["class_names"].items()
        if index != "0"
    }


def _to_png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return file.getvalue()
