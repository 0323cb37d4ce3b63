"""The folds of a cross-validation, put together as one result."""

import json
from collections import Counter

from dca_keras.evaluation._wording import count
from dca_keras.recipe import PATHS, complete

# What the training part of a fold decides, so that folds may differ in it.
_DERIVED = ("spacing", "image_size")


def merge_folds(results, partial=False):
    """Put the folds of one cross-validation together.

    Runs belong to one cross-validation if their recipes differ in nothing but
    the fold, what follows from the fold's images, and the seed, and if the
    same epoch, the best or the last, was scored; if a fold is there several
    times, the seed has to be the same as well.

    Args:
        results: What `metrics.json` of each run holds, by path.
        partial: Whether to accept a cross-validation of which folds are
            missing, or whose folds share images; those count once, as the
            first run scored them.

    Returns:
        A dictionary by path, the first one's for a cross-validation: every
        case once, by the run that held it out, and `folds`, which says so.

    Raises:
        ValueError: If folds are missing or overlap and `partial` is not set.
    """
    merged, folded = {}, {}
    for path, result in results.items():
        (folded if _fold(result) else merged)[path] = result
    for members in _find_sets(folded):
        path = next(iter(members))
        _check_folds(members, partial)
        merged[path] = _merge(members)
    order = list(results)
    return dict(sorted(merged.items(), key=lambda item: order.index(item[0])))


def _fold(result):
    return (result.get("recipe") or {}).get("fold")


def _find_sets(results):
    """Groups of results in which no fold is twice, if there are such."""
    keys = [_loose_key, _with_seed, _strict_key]
    groups = [results] if results else []
    for key in keys:
        finer = []
        for group in groups:
            if key is not _loose_key and not _repeats(group):
                finer.append(group)
                continue
            parts = {}
            for path, result in group.items():
                parts.setdefault(key(result), {})[path] = result
            finer += parts.values()
        groups = finer
    return groups


def _repeats(group):
    return len({_fold(result) for result in group.values()}) < len(group)


def _loose_key(result):
    key = [_common(result["recipe"]), result["epoch"]]
    return json.dumps(key, sort_keys=True)


def _with_seed(result):
    return result.get("seed")


def _strict_key(result):
    kept = {k: v for k, v in result["recipe"].items() if k not in PATHS}
    return json.dumps(kept | {"fold": None}, sort_keys=True)


def _common(recipe):
    """What all runs of a cross-validation have in common."""
    own = {*PATHS, *_DERIVED, "seed", "fold"}
    if recipe.get("minutes"):  # It chose the number of epochs.
        own.add("epochs")
    folds = recipe["fold"].partition("/")[2]
    kept = {k: v for k, v in complete(recipe).items() if k not in own}
    return kept | {"folds": folds}


def _check_folds(members, partial):
    """Raise `ValueError` for folds that are missing or that overlap."""
    if partial:
        return
    found = {_fold(result): path for path, result in members.items()}
    number = next(iter(found)).partition("/")[2]
    wanted = [f"{index}/{number}" for index in range(int(number))]
    if missing := [fold for fold in wanted if fold not in found]:
        raise ValueError(
            f"{', '.join(missing)} of the folds of {next(iter(members))} are "
            "missing. Name the runs of all folds, or `partial=True` to take "
            "those that are there."
        )
    names = Counter(
        row["name"]
        for result in members.values()
        for row in result["per_image"]
    )
    if twice := [name for name, times in names.items() if times > 1]:
        raise ValueError(
            f"The folds {', '.join(found)} of {next(iter(members))} overlap: "
            f"{count(len(twice), 'image')} such as {twice[0]} were scored "
            "more than once. Name each fold once, of one division of the "
            "data, or `partial=True` to count such images once."
        )


def _merge(members):
    """One result of a cross-validation's runs, in the order of its folds."""
    ordered = sorted(
        members.items(), key=lambda item: int(_fold(item[1]).partition("/")[0])
    )
    first = ordered[0][1]
    images, cases, folds = {}, {}, []
    for path, result in ordered:
        own = [r for r in result["per_case"] if r["case"] not in cases]
        names = [row["case"] for row in own]
        cases |= {row["case"]: row for row in own}
        images |= {
            row["name"]: row
            for row in result["per_image"]
            if row["case"] in set(names)
        }
        folds.append(
            {"fold": _fold(result), "folder": path.parent.name, "cases": names}
        )
    seeds = {result.get("seed") for _, result in ordered}
    return first | {
        "recipe": _common(first["recipe"]),
        "seed": seeds.pop() if len(seeds) == 1 else None,
        "images": len(images),
        "cases": len(cases),
        "per_image": list(images.values()),
        "per_case": list(cases.values()),
        "names": set().union(*(result["names"] for _, result in ordered)),
        "folds": folds,
    }
