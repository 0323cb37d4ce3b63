"""What the results in `zoo/results` are of, and what their files are called."""

import re

LAST = "last_epoch"  # The folder of the last epochs' scores.
LAST_EPOCH = (
    "Of every run the last epoch was scored, which no images chose: "
    "`dca-keras evaluate RUN --epoch last --output RUN/last_epoch`."
)


def is_volume(result):
    """Whether a result is one of a model of volumes."""
    return len(result["recipe"]["image_size"]) == 3


def is_last(result):
    """Whether a result is that of a run's last epoch, not of its best."""
    return result.get("epoch") == "last"


def list_seeds(pairs):
    """Return the seeds of results, each once, as text."""
    return ", ".join(map(str, sorted({r["seed"] for _, r in pairs})))


def name_files(pairs):
    """Return a pattern of the names that the results' files have."""
    path, result = pairs[0]
    stem = path.name.rsplit("-seed", 1)[0]
    folder = f"{LAST}/" if is_last(result) else ""
    return f"`{folder}{re.sub(r'-fold.*', '-fold*', stem)}-seed*.json`"
