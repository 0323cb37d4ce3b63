"""The results of runs, read and put in groups that differ in their recipe."""

import json
from pathlib import Path

import numpy as np

from dca_keras.evaluation._folds import merge_folds
from dca_keras.evaluation._table import foreground, score_table
from dca_keras.evaluation._wording import count, name_model
from dca_keras.recipe import PATHS, complete
from dca_keras.run import Run

# What two trainings of one recipe may differ in.
_INCIDENTAL = ("seed", *PATHS)
_SHARED = ("split", "classes", "distance_unit", "grid")
_SHOWN_NAMES = 5


def read_results(runs, split, partial=False):
    """Read what `evaluate` found of every run, in a dictionary by path.

    The folds of a cross-validation are one result.

    Args:
        runs: Folders of runs, or `metrics.json` files.
        split: `"train"`, `"val"` or `"test"`.
        partial: As in `merge_folds`.

    Raises:
        ValueError: If there are fewer than two runs, a run has no scores, or
            they are not of the same images.
    """
    paths = [_find_result(Path(run), split) for run in runs]
    if len(set(paths)) < 2 or len(set(paths)) < len(paths):
        raise ValueError(
            "`runs` must be two or more that differ. Received: "
            f"{', '.join(map(str, runs)) or 'none'}"
        )
    results = {path: _read_result(path) for path in paths}
    if split == "test":  # Of other splits, folds share the images.
        results = merge_folds(results, partial)
    _check_same_images(results)
    return results


def case_scores(result):
    """Return the foreground's scores, (cases, 6), sorted by the case's name."""
    table = score_table(result, over="cases")
    return foreground(table)[np.argsort(table["case"].unique())]


def group_by_recipe(results):
    """Put results, by path, in a dictionary for each recipe and epoch."""
    groups = {}
    for path, result in results.items():
        recipe = result.get("recipe")
        key = str(path)
        if recipe is not None:
            recipe = complete(recipe).items()
            kept = {k: v for k, v in recipe if k not in _INCIDENTAL}
            key = json.dumps([kept, result["epoch"]], sort_keys=True)
        groups.setdefault(key, {})[path] = result
    return list(groups.values())


def name_groups(groups):
    """Name groups by their model, with a folder where that is not enough."""
    names = [name_model(next(iter(members.values()))) for members in groups]
    folders = [next(iter(members)).parent.name for members in groups]
    return [
        name if names.count(name) == 1 else f"{name} ({folder})"
        for name, folder in zip(names, folders, strict=True)
    ]


def _find_result(run, split):
    if run.suffix == ".json":
        path = run
    else:
        path = Run(run).path("metrics", split)
    if not path.is_file():
        raise ValueError(
            f"{path} is missing. `dca-keras evaluate {run} --split {split}` "
            "writes it."
        )
    return path


def _read_result(path):
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if "part" in result:  # The word of earlier versions.
            result["split"] = result.pop("part")
        case_scores(result)
        classes = list(result["class_names"].values())
        if len(classes) == 1:  # Older runs call any single class foreground.
            classes = ["foreground"]
        result["classes"] = classes
        # Earlier versions had no other.
        result.setdefault("grid", "resized")
        result.setdefault("epoch", "best")
        for key in ("data", "images", "cases", *_SHARED):
            result[key]
        return result | {"names": {_name(row) for row in result["per_image"]}}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not hold the scores of every case: {error!r}. "
            "`dca-keras evaluate` writes it again."
        ) from error


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
