"""What `metrics.json` says, from the tables of scores."""

import numpy as np

from dca_keras.evaluation._intervals import BOOTSTRAP, mean_intervals
from dca_keras.evaluation._scores import (
    class_indices,
    mean_defined,
    smoothed_scores,
)
from dca_keras.evaluation._table import (
    COLUMNS,
    COUNTS,
    by_score,
    plain,
    to_array,
)


def summarize_tables(images, cases, published_batch):
    """Make the dictionary that `evaluate_model` describes, but for the unit.

    Args:
        images: The table of all images, see `score_table`.
        cases: The table of all cases.
        published_batch: Images whose pixels the published scores pool.
    """
    classes = images["class"].unique().tolist()
    rows = images.iloc[:: len(classes) * len(COLUMNS)]
    names = rows["case"].tolist()
    counts = to_array(images, COUNTS)
    alone = {
        name: {"case": name, "images": names.count(name)}
        for name in cases["case"].unique().tolist()
    }
    return {
        **_summarize_smoothed(counts, names, published_batch),
        "images": len(rows),
        "cases": len(alone),
        "bootstrap": BOOTSTRAP,
        "class_names": dict(
            zip(map(str, class_indices(len(classes))), classes, strict=True)
        ),
        **summarize(to_array(images), names),
        "over_cases": summarize(to_array(cases), list(alone)),
        "per_image": [
            {
                "name": name,
                "case": case,
                "dice": float(dice),
                "iou": float(iou),
                "per_class": per_class,
            }
            for name, case, (dice, iou), per_class in zip(
                rows["image"],
                names,
                smoothed_scores(counts),
                _by_class(images),
                strict=True,
            )
        ],
        "per_case": [
            case | {"per_class": per_class}
            for case, per_class in zip(
                alone.values(), _by_class(cases), strict=True
            )
        ],
    }


def summarize(scores, cases):
    """Compute means and intervals of scores.

    Args:
        scores: Floats `(rows, classes, 6)`; NaN is not defined.
        cases: The case of every row.

    Returns:
        A dictionary: `foreground`, `with_background` if there are several
        classes, and `per_class`.
    """
    classes = scores.shape[1]
    first = 0 if classes == 1 else 1
    groups = {"foreground": scores[:, first:]}
    if classes > 1:
        groups["with_background"] = scores
    return {
        **{key: _summarize(group, cases) for key, group in groups.items()},
        "per_class": {
            str(index): _summarize(scores[:, [place]], cases)
            for place, index in enumerate(class_indices(classes))
        },
    }


def _summarize(scores, cases):
    values = mean_defined(scores, axis=1)  # (rows, 6)
    means, intervals = mean_intervals(values, cases)
    return by_score(
        mean=means,
        interval=intervals,
        defined=(~np.isnan(values)).sum(axis=0),
        undefined=np.isnan(scores).sum(axis=(0, 1)),
    )


def _summarize_smoothed(counts, names, published_batch):
    """Scores with 1 added to both sides of the fraction, as published."""
    means, ranges = mean_intervals(smoothed_scores(counts), names)
    batches = [
        counts[start : start + published_batch].sum(axis=0)
        for start in range(0, len(counts), published_batch)
    ]
    dsc, iou = smoothed_scores(np.stack(batches)).mean(axis=0)
    return {
        "dice": plain(means[0]),
        "iou": plain(means[1]),
        "intervals": {"dice": plain(ranges[0]), "iou": plain(ranges[1])},
        "dice_pooled": float(smoothed_scores(counts.sum(axis=0))[0]),
        "published": {
            "dsc": float(dsc),
            "iou": float(iou),
            "batch_size": published_batch,
        },
    }


def _by_class(table):
    """For every row its scores, by the index of their class."""
    for row in to_array(table, COLUMNS):
        indices = map(str, class_indices(len(row)))
        yield {
            index: {
                name: int(value) if name in COUNTS else plain(value)
                for name, value in zip(COLUMNS, scores, strict=True)
            }
            for index, scores in zip(indices, row, strict=True)
        }
