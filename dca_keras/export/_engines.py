"""A run's model in another runtime, exported once and kept."""

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path

from dca_keras._files import hash_file
from dca_keras.export._card import file_card
from dca_keras.export._runs import export_run
from dca_keras.export._runtimes import (
    RuntimeModel,
    load_litert,
    load_onnx,
    load_openvino,
)
from dca_keras.run import Run

_LOADERS = {
    "onnx": load_onnx,
    "openvino": load_openvino,
    "openvino_int8": load_openvino,
    "litert": load_litert,
    "litert_int8": load_litert,
    "litert_dynamic": load_litert,
}
ENGINES = ("keras", *_LOADERS)


def engine(name: str) -> Callable[[Run], RuntimeModel] | None:
    """Return what `predict_files` takes as its `engine`.

    Args:
        name: One of `ENGINES`: "keras", or a format that `export_run` writes.

    Returns:
        A function from a `Run` to a model, see `open_engine`; None for
        "keras".

    Raises:
        ValueError: If there is no such engine.
    """
    if name not in ENGINES:
        raise ValueError(
            f"`engine` must be one of {ENGINES}. Received: {name!r}"
        )
    if name == "keras":
        return None
    return functools.partial(open_engine, format=name)


def open_engine(run: Run, format: str) -> RuntimeModel:
    """Open a run's model in another runtime.

    The run is exported where that has not been done yet, or was done of
    another model file: the card beside an export has its checksum. Exports
    are kept in the run's folder `export`; those of a shared run among the
    user's cached files.

    Args:
        run: A `Run`.
        format: One of `ENGINES` but "keras".

    Returns:
        A `RuntimeModel`.

    Raises:
        ValueError: If the run can't be exported.
        ImportError: If the format's extra is not installed.
    """
    if not run.model_path.is_file():
        raise ValueError(
            f"{run.model_path} is missing. Train again, or copy it back."
        )
    folder, digest = _folder(run), hash_file(run.model_path)
    found = _find(folder, format, digest)
    if found is None:
        done = export_run(run.folder, format, folder)
        found = done.path, _read_card(file_card(done.path))
    path, card = found
    recipe = run.recipe
    sides = (None, *recipe.image_size)
    identity = format
    if "quantization" in card:  # Another calibration says something else.
        identity += f" {card['sha256']}"
    return RuntimeModel(
        card["name"],
        _LOADERS[format](str(path), len(os.sched_getaffinity(0))),
        (*sides, recipe.channels),
        (*sides, recipe.num_classes),
        card["side_multiple"],
        identity,
    )


def _folder(run):
    """Where the exports of a run are kept."""
    if run.model_path == run.path("model"):
        return run.path("export")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "dca-keras", hash_file(run.model_path)[:16])


def _find(folder, format, digest):
    """Return the path and the card of an export; None if there is none."""
    for place in sorted(folder.glob("*.json")):
        card = _read_card(place)
        path = place.with_suffix("")
        wanted = {"format": format, "model_sha256": digest}
        if wanted.items() <= card.items() and path.is_file():
            return path, card
    return None


def _read_card(path):
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
