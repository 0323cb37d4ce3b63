"""Runs side by side, and by how much they differ on the same images."""

import csv
import io
import json
from pathlib import Path

import numpy as np

from dca_keras._files import replace_file, write_json, write_text
from dca_keras.evaluation._charts import draw_differences
from dca_keras.evaluation._intervals import (
    BOOTSTRAP,
    mean_intervals,
    plain,
    plain_pair,
)
from dca_keras.evaluation._scores import SCORES, mean_defined
from dca_keras.evaluation._wording import count, name_model

# What two trainings of one recipe may differ in.
_INCIDENTAL = ("seed", "data_dir", "cache")
_SHARED = ("part", "class_names", "distance_unit")
_SHOWN_NAMES = 5


def compare(runs, part="test", output=None):
    """Compares runs that were scored on the same images.

    Runs whose recipes differ in nothing but the seed form a group: a case's
    score is then the mean over the group's runs. Every group is compared with
    the first, case by case, and the interval of the mean difference comes
    from the bootstrap, see `dca_keras.evaluation.mean_intervals`. If it
    excludes 0, the choice of these cases alone does not explain the
    difference. What another seed would change it can't tell: for that look
    at the scores of the single runs.

    Scores are those of the foreground, by case; see
    `dca_keras.evaluation.evaluate_model`. Where every image is a case of its
    own they are the images' scores.

    Args:
        runs: Folders of runs, or `metrics.json` files; at least two.
        part: Which part's scores to compare: `"train"`, `"val"` or `"test"`.
        output: The folder to write `comparison.json`, `comparison.csv` and
            `comparison.png` to; `None` writes nothing.

    Returns:
        A dictionary that JSON can hold: `data`, `part`, `images`, `cases`,
        `distance_unit`, `bootstrap`, and `groups`. Of a group it holds

        - `name`, and `runs`: the `folder`, `seed` and mean `dice` of each,
        - `scores`: of each score its `mean` and `interval`, and `runs_sd`,
          the standard deviation of the runs' own means (None for one run),
        - but for the first, `differences`: of each score the `mean` of group
          minus first, its `interval`, and `pairs`, the number of cases in
          which both are defined.

    Raises:
        ValueError: If there are fewer than two runs, a run has no scores, or
            they are not of the same images.
    """
    paths = [_find_result(Path(run), part) for run in runs]
    if len(set(paths)) < 2 or len(set(paths)) < len(paths):
        raise ValueError(
            "`runs` must be two or more that differ. Received: "
            f"{', '.join(map(str, runs)) or 'none'}"
        )
    results = {path: _read_result(path) for path in paths}
    _check_same_images(results)
    groups = _group(results)
    tables = [_average(members.values()) for members in groups]
    first = results[paths[0]]
    comparison = {
        **{key: first[key] for key in ("data", "part", "images", "cases")},
        "distance_unit": first["distance_unit"],
        "bootstrap": BOOTSTRAP,
        "groups": [
            {
                "name": name,
                "runs": [
                    {
                        "folder": path.parent.name,
                        "seed": result.get("seed"),
                        "dice": float(np.mean(_case_table(result)[:, 0])),
                    }
                    for path, result in members.items()
                ],
                "scores": _describe(table, members.values()),
            }
            for name, members, table in zip(
                _name_groups(groups), groups, tables, strict=True
            )
        ],
    }
    for group, table in zip(comparison["groups"][1:], tables[1:], strict=True):
        group["differences"] = _subtract(table, tables[0])
    if output is not None:
        _write(Path(output), comparison)
    return comparison


def _find_result(run, part):
    suffix = "" if part == "test" else f"_{part}"
    path = run if run.suffix == ".json" else run / f"metrics{suffix}.json"
    if not path.is_file():
        raise ValueError(
            f"{path} is missing. `dca-keras evaluate {run} --part {part}` "
            "writes it."
        )
    return path


def _read_result(path):
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        _case_table(result)
        for key in ("data", "images", "cases", *_SHARED):
            result[key]
        return result | {"names": {_name(row) for row in result["per_image"]}}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not hold the scores of every case: {error!r}. "
            "`dca-keras evaluate` writes it anew."
        ) from error


def _case_table(result):
    """Every case's scores of the foreground, (cases, 6); NaN is undefined."""
    rows = []
    for case in result["per_case"]:
        classes = [
            [scores[name] for name in SCORES]
            for index, scores in case["per_class"].items()
            if index != "0"
        ]
        rows.append(mean_defined(np.array(classes, "float64"), axis=0))
    return np.stack(rows)


def _check_same_images(results):
    (first_path, first), *others = results.items()
    for path, result in others:
        ours, theirs = first["names"], result["names"]
        if ours != theirs:
            raise ValueError(
                "Runs must have been scored on the same images. "
                f"{first_path} alone has {_list(ours - theirs)}; {path} alone "
                f"has {_list(theirs - ours)}. Evaluate them on the same data."
            )
        for key in _SHARED:
            if first[key] != result[key]:
                raise ValueError(
                    f"Runs must agree in `{key}`. {first_path} has "
                    f"{first[key]!r} and {path} has {result[key]!r}. Evaluate "
                    "them on the same data."
                )


def _name(row):
    name, case = row["name"], row["case"]
    return name if name == case else f"{name} of case {case}"


def _list(names):
    shown = ", ".join(sorted(names)[:_SHOWN_NAMES])
    more = ", …" * (len(names) > _SHOWN_NAMES)
    return count(len(names), "image") + f" ({shown}{more})" * bool(names)


def _group(results):
    """Results by path, in one dictionary for each recipe."""
    groups = {}
    for path, result in results.items():
        recipe = result.get("recipe")
        key = str(path)
        if recipe is not None:
            kept = {k: v for k, v in recipe.items() if k not in _INCIDENTAL}
            key = json.dumps(kept, sort_keys=True)
        groups.setdefault(key, {})[path] = result
    return list(groups.values())


def _name_groups(groups):
    """What tells groups apart: the model, or else the first run's folder."""
    names = [name_model(next(iter(members.values()))) for members in groups]
    folders = [next(iter(members)).parent.name for members in groups]
    return [
        name if names.count(name) == 1 else f"{name} ({folder})"
        for name, folder in zip(names, folders, strict=True)
    ]


def _average(members):
    """The scores (cases, 6) of the runs of a group, cases by their name."""
    tables = []
    for result in members:
        names = [row["case"] for row in result["per_case"]]
        tables.append(_case_table(result)[np.argsort(names)])
    return mean_defined(np.stack(tables), axis=0)


def _describe(table, members):
    means, intervals = mean_intervals(table, range(len(table)))
    own = np.stack([mean_defined(_case_table(run), 0) for run in members])
    spread = (
        own.std(0, ddof=1) if len(own) > 1 else np.full(len(SCORES), np.nan)
    )
    return {
        name: {
            "mean": plain(means[place]),
            "interval": plain_pair(intervals[place]),
            "runs_sd": plain(spread[place]),
        }
        for place, name in enumerate(SCORES)
    }


def _subtract(table, first):
    differences = table - first
    means, intervals = mean_intervals(differences, range(len(differences)))
    return {
        name: {
            "mean": plain(means[place]),
            "interval": plain_pair(intervals[place]),
            "pairs": int((~np.isnan(differences[:, place])).sum()),
        }
        for place, name in enumerate(SCORES)
    }


def _write(output, comparison):
    write_json(output / "comparison.json", comparison)
    write_text(output / "comparison.csv", _to_csv(comparison))
    first, *others = comparison["groups"]
    rows = {
        group["name"]: (
            group["differences"]["dice"]["mean"],
            group["differences"]["dice"]["interval"],
        )
        for group in others
    }
    if rows:
        title = f"Dice, minus that of {first['name']}"
        with replace_file(output / "comparison.png") as temporary:
            temporary.write_bytes(draw_differences(rows, title))


def _to_csv(comparison):
    """A line for every score of every group."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(
        ["group", "runs", "score", "mean", "low", "high", "runs_sd"]
        + ["difference", "difference_low", "difference_high", "pairs"]
    )
    for group in comparison["groups"]:
        for name, score in group["scores"].items():
            difference = group.get("differences", {}).get(name, {})
            rows.writerow(
                [group["name"], len(group["runs"]), name, score["mean"]]
                + (score["interval"] or [None] * 2)
                + [score["runs_sd"], difference.get("mean")]
                + (difference.get("interval") or [None] * 2)
                + [difference.get("pairs")]
            )
    return file.getvalue()
