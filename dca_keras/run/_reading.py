"""The files of a run, and what is said where one is missing or broken."""

import json


def find_file(run, kind):
    """Return the path of a file that every run has."""
    path = run.path(kind)
    if not path.is_file():
        raise ValueError(
            f"{path} is missing, so {run.folder} is not the folder of a "
            "run. `dca-keras train --output DIR` makes one."
        )
    return path


def read_history(run):
    """Return `history.csv` as a pandas DataFrame."""
    import pandas

    path = find_file(run, "history")
    try:
        return pandas.read_csv(path).astype({"epoch": int})
    except (ValueError, LookupError) as error:
        raise ValueError(f"{path} is not a run's history: {error!r}") from error


def read_scores(run, split):
    """Return what `metrics.json` of a split says, see `Run.scores`."""
    path = run.path("metrics", split)
    option = "" if split == "test" else f" --split {split}"
    command = f"`dca-keras evaluate {run.folder}{option}`"
    if not path.is_file():
        raise ValueError(f"{path} is missing. {command} writes it.")
    try:
        scores = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is no run's metrics: {error}. {command} writes it again."
        ) from error
    if "part" in scores:  # The word of earlier versions.
        scores["split"] = scores.pop("part")
    return scores


def read_fingerprint(run, key):
    """Return a part of `fingerprint.json`; None if there is none."""
    path = run.path("fingerprint")
    if not path.is_file():
        return None
    found = read_json(path)
    try:
        return found[key]
    except (LookupError, TypeError) as error:
        raise ValueError(f"{path} lacks {key!r}.") from error


def read_json(path):
    """Return what a JSON file holds."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} can't be read as JSON: {error}") from error
