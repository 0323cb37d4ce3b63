"""Runs side by side, and by how much they differ on the same images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dca_keras._files import replace_file, write_json, write_text
from dca_keras.evaluation._charts import draw_differences
from dca_keras.evaluation._groups import (
    case_scores,
    group_by_recipe,
    name_groups,
    read_results,
)
from dca_keras.evaluation._intervals import (
    NESTED_BOOTSTRAP,
    nested_intervals,
)
from dca_keras.evaluation._scores import DISTANCES, SCORES, mean_defined
from dca_keras.evaluation._table import by_score, plain
from dca_keras.evaluation._wording import warn_of_few


def compare(
    runs: Sequence[str | Path],
    split: str = "test",
    output: str | Path | None = None,
    partial: bool = False,
) -> dict:
    """Compare runs that were scored on the same images.

    Runs whose recipes differ in nothing but the seed form a group. A group's
    score is the mean over its runs and the cases; every group is compared
    with the first. The 95 % intervals cover the choice of the cases and of
    the seeds together: both are drawn again in a bootstrap, see
    `nested_intervals`. An interval of a difference that contains 0 means
    that these runs do not show which group is better. One that excludes 0
    makes chance an unlikely explanation, for these recipes and this kind of
    images; the more groups are compared, the more often one excludes 0 by
    chance.

    The folds of a cross-validation count as one run that was scored on all
    images, each by the run that held it out. Runs are its folds if their
    recipes differ in `fold`, in what follows from a fold's images, and in the
    seed at most.

    With one run a group its interval covers the choice of the cases only:
    another seed may well score outside of it. `warnings` says so, and names
    fewer than five runs a group and fewer than 50 cases.

    Scores are those of the foreground, by case; see `evaluate_model`. Where
    every image is a case of its own they are the images' scores.

    Args:
        runs: Folders of runs, or `metrics.json` files; at least two.
        split: Which split's scores to compare: `"train"`, `"val"` or
            `"test"`.
        output: The folder to write `comparison.json`, `comparison.csv` and
            `comparison.png` to; None writes nothing.
        partial: Whether to take a cross-validation of which folds are
            missing, or whose folds share images, as far as it goes.

    Returns:
        A dictionary that JSON can hold: `data`, `split`, `images`, `cases`,
        `distance_unit`, `bootstrap`, `warnings` (sentences), and `groups`.
        A group holds

        - `name`, and `runs`: the `folder`, `seed` and mean `dice` of each;
          of a cross-validation also `folds`, with the `fold`, the `folder`
          and the `cases` that it held out,
        - `scores`: of each score its `mean` and `interval`, and `runs_sd`,
          the standard deviation of the runs' own means (None for one run),
        - but for the first, `differences`: of each score the `mean` of group
          minus first, its `interval`, and `pairs`, the number of cases in
          which both are defined.

    Raises:
        ValueError: If there are fewer than two runs, a run has no scores, or
            they are not of the same images; or folds of a cross-validation
            are missing or overlap, and `partial` is not set.
    """
    results = read_results(runs, split, partial)
    groups = group_by_recipe(results)
    scores = [
        np.stack([case_scores(result) for result in members.values()])
        for members in groups
    ]
    described = [
        _describe(name, members, runs, scores[0] if place else None)
        for place, (name, members, runs) in enumerate(
            zip(name_groups(groups), groups, scores, strict=True)
        )
    ]
    first = next(iter(results.values()))
    shown = ("data", "split", "images", "cases", "distance_unit")
    comparison = {
        **{key: first[key] for key in shown},
        "bootstrap": NESTED_BOOTSTRAP,
        "warnings": warn_of_few(
            first["cases"], {g["name"]: len(g["runs"]) for g in described}
        ),
        "groups": described,
    }
    if output is not None:
        _write(Path(output), comparison)
    return comparison


def _describe(name, members, runs, first):
    """What `compare` says of a group; `first` is None for the first one."""
    own = mean_defined(runs, axis=1)  # (runs, 6)
    means, intervals, _ = nested_intervals(runs)
    highest = [np.inf if score in DISTANCES else 1 for score in SCORES]
    group = {
        "name": name,
        "runs": [
            _describe_run(path, result, dice)
            for (path, result), dice in zip(
                members.items(), own[:, 0], strict=True
            )
        ],
        "scores": by_score(
            mean=means,
            interval=np.clip(intervals, 0, np.array(highest)[:, None]),
            runs_sd=np.full(len(SCORES), np.nan)
            if len(own) == 1
            else own.std(0, ddof=1),
        ),
    }
    if first is not None:
        means, intervals, pairs = nested_intervals(runs, first)
        group["differences"] = by_score(
            mean=means, interval=intervals, pairs=pairs
        )
    return group


def _describe_run(path, result, dice):
    run = {
        "folder": path.parent.name,
        "seed": result.get("seed"),
        "dice": plain(dice),
    }
    if "folds" in result:
        run["folder"] = ", ".join(f["folder"] for f in result["folds"])
        run["folds"] = result["folds"]
    return run


def _write(output, comparison):
    write_json(output / "comparison.json", comparison)
    table = pd.DataFrame(_rows(comparison["groups"]))
    text = table.to_csv(index=False, lineterminator="\n")
    write_text(output / "comparison.csv", text)
    first, *others = comparison["groups"]
    rows = {group["name"]: group["differences"]["dice"] for group in others}
    if rows:
        title = f"Dice, minus that of {first['name']}"
        with replace_file(output / "comparison.png") as temporary:
            temporary.write_bytes(draw_differences(rows, title))


def _rows(groups):
    """A line of `comparison.csv` for every score of every group."""
    for group in groups:
        for name, score in group["scores"].items():
            difference = group.get("differences", {}).get(name, {})
            low, high = score["interval"] or (None, None)
            below, above = difference.get("interval") or (None, None)
            yield {
                "group": group["name"],
                "runs": len(group["runs"]),
                "score": name,
                "mean": score["mean"],
                "low": low,
                "high": high,
                "runs_sd": score["runs_sd"],
                "difference": difference.get("mean"),
                "difference_low": below,
                "difference_high": above,
                "pairs": difference.get("pairs"),
            }
