"""A run as a folder, or as a repository on the Hugging Face Hub."""

import dataclasses
import shutil
import tempfile
import uuid
from pathlib import Path

import keras

from dca_keras._extras import import_extra
from dca_keras._files import make_parents, write_json
from dca_keras.run import Run
from dca_keras.sharing._card import write_card

HUB = "hf://"
# What a recipe says about somebody's disk, and what it says instead.
PRIVATE = {
    "data_dir": "DIR",
    "cache": "memory",
    "classes": None,
    "weights": None,
}
# What scores say about single images, whose names may be patients'.
SINGLE = ("per_image", "per_case")


def share(
    run: str | Path | Run,
    target: str | Path,
    *,
    license: str | None = None,
    data_name: str | None = None,
    pictures: bool = True,
    private: bool = False,
) -> Path | str:
    """Write a run's model for others to load.

    The folder, or the repository, holds

    - `config.json`, `metadata.json` and `model.weights.h5`, Keras's own
      files: `keras.saving.load_model` loads them after `import dca_keras`,
    - `recipe.json`, and `fingerprint.json` and `classes.json` where the run
      has them: all that `dca-keras predict` needs,
    - `metrics.json`: the scores on the test split, if it was evaluated,
    - `README.md`: a model card,
    - `predictions.png`: images of the test split with their masks.

    Paths, and the names of images and cases, are left out. What the picture
    shows is the run's data: leave it out where that is not public.

    Args:
        run: The folder of a run, or a `Run`.
        target: The folder to make, or "hf://USER/NAME".
        license: The licence of the weights in the Hub's words, such as
            "cc-by-4.0"; None is "unknown". It depends on the data's.
        data_name: What the card calls the data; None for the recipe's word,
            such as "image_folder".
        pictures: Whether to share `predictions.png`.
        private: Of a repository that is made: whether only you see it.

    Returns:
        The folder, a `Path`, or the repository's address.

    Raises:
        ValueError: If the run can't be loaded, the folder exists and is not
            empty, or the Hub can't be written to.
        ImportError: If a repository is named and the Hub's client is not
            installed.
    """
    run = run if isinstance(run, Run) else Run(run)
    about = {
        "license": license or "unknown",
        "data_name": data_name or run.recipe.data,
    }
    if str(target).startswith(HUB):
        hub = import_extra(
            "huggingface_hub", extra="hub", purpose="Writing to the Hub"
        )
        name = str(target).removeprefix(HUB)
        if name.count("/") != 1:
            raise ValueError(
                f"A repository's name must be USER/NAME. Received: {target}"
            )
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder, "shared")
            _write(run, folder, about, pictures, name)
            return _upload(hub, folder, name, private)
    target = Path(target).expanduser()
    if target.is_file() or target.is_dir() and any(target.iterdir()):
        raise ValueError(
            f"{target} exists already. Choose another folder, or remove it."
        )
    make_parents(target)
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.{target.name}")
    try:
        _write(run, temporary, about, pictures)
        if target.is_dir():
            target.rmdir()
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _write(run, folder, about, pictures, repository=None):
    model = run.load_model()
    keras.saving.save_model(model, folder, zipped=False)
    for left in folder.glob("assets"):
        left.rmdir()  # Keras makes it for layers that keep files.
    recipe = dataclasses.replace(run.recipe, **PRIVATE)
    versions = {k: v for k, v in run.record.items() if k == "versions"}
    write_json(folder / "recipe.json", {"recipe": recipe.to_dict(), **versions})
    for kind in ("fingerprint", "classes"):
        if run.path(kind).is_file():
            shutil.copyfile(run.path(kind), folder / run.path(kind).name)
    scores = None
    if run.path("metrics").is_file():
        scores = {k: v for k, v in run.scores().items() if k not in SINGLE}
        scores |= {"recipe": recipe.to_dict(), "command": recipe.command()}
        write_json(folder / "metrics.json", scores)
    about["pictures"] = pictures and run.path("pictures").is_file()
    if about["pictures"]:
        shutil.copyfile(run.path("pictures"), folder / "predictions.png")
    about["counts"] = {
        split: len(names)
        for split, names in run.record.get("samples", {}).items()
    }
    about["address"] = f"{HUB}{repository}" if repository else "FOLDER"
    write_card(folder / "README.md", recipe, model, scores, about)


def _upload(hub, folder, name, private):
    client = hub.HfApi()
    try:
        client.create_repo(name, private=private, exist_ok=True)
        client.upload_folder(
            repo_id=name,
            folder_path=folder,
            commit_message="Share a model of dca-keras",
        )
    except Exception as error:  # The client's own, and those of its requests.
        raise ValueError(f"{HUB}{name} can't be written to: {error}") from error
    return f"{HUB}{name}"
