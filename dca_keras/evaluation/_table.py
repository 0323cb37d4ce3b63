"""Scores as one tidy table: a row for each score of a class of an image."""

import numpy as np
import pandas as pd

from dca_keras.evaluation._scores import SCORES, mean_defined

# In the order of `count_pixels`.
COUNTS = ("true_positives", "predicted_pixels", "true_pixels")
COLUMNS = (*SCORES, *COUNTS)


def score_table(result: dict, over: str = "images") -> pd.DataFrame:
    """Return the scores of every image, or of every case, as a tidy table.

    Args:
        result: What `evaluate_run`, `evaluate_dataset`, `evaluate_on` or
            `evaluate_model` returned, or a `metrics.json` holds
            (`dca_keras.Run(folder).scores()`).
        over: `"images"` or `"cases"`.

    Returns:
        A pandas DataFrame with the columns `image` (not over cases), `case`,
        `class` (its name), `score` and `value`. The scores are `dice`,
        `iou`, `precision`, `recall`, `hd95` and `assd`, and the counts
        `true_positives`, `predicted_pixels` and `true_pixels` on the resized
        grid. NaN is a score that is not defined.

    Raises:
        ValueError: If `over` is neither.

    Example:

    >>> table = score_table(dca_keras.Run("runs/unet").scores())
    >>> table.groupby(["class", "score"])["value"].mean()
    """
    if over not in ("images", "cases"):
        raise ValueError(
            f"`over` must be 'images' or 'cases'. Received: {over!r}"
        )
    names = result["class_names"]
    kinds = {"image": "name", "case": "case"}
    if over == "cases":
        del kinds["image"]
    rows = [
        (*(row[key] for key in kinds.values()), names[index], score, value)
        for row in result[f"per_{over.removesuffix('s')}"]
        for index, scores in row["per_class"].items()
        for score, value in scores.items()
    ]
    table = pd.DataFrame(rows, columns=[*kinds, "class", "score", "value"])
    return table.astype({"value": float})


def make_table(values, class_names, **rows):
    """Make a tidy table.

    Args:
        values: Floats `(rows, classes, len(COLUMNS))`.
        class_names: The names of the classes.
        **rows: Columns that name the rows, such as `image` and `case`.
    """
    count, classes, columns = values.shape
    named = {
        name: np.repeat(np.array(column, object), classes * columns)
        for name, column in rows.items()
    }
    return pd.DataFrame(
        named
        | {
            "class": np.tile(np.repeat(class_names, columns), count),
            "score": np.tile(COLUMNS, count * classes),
            "value": values.ravel(),
        }
    )


def to_array(table, scores=SCORES):
    """The `scores` of a table, `(rows, classes, scores)`, in its order."""
    columns = [table.loc[table["score"] == name, "value"] for name in scores]
    shape = len(scores), -1, table["class"].nunique()
    return np.moveaxis(np.stack(columns).reshape(shape), 0, -1)


def foreground(table):
    """The means over all classes but the background, `(rows, 6)`."""
    values = to_array(table)
    first = 0 if values.shape[1] == 1 else 1
    return mean_defined(values[:, first:], axis=1)


def by_score(**columns):
    """Columns in the order of `SCORES` as dictionaries by the score's name."""
    return {
        name: {key: plain(column[place]) for key, column in columns.items()}
        for place, name in enumerate(SCORES)
    }


def plain(value):
    """A number or an interval as JSON has it: None where it is undefined."""
    return None if np.isnan(value).any() else np.asarray(value).tolist()
