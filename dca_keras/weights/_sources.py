"""Where weights are: a run, a file, or a repository on the Hub."""

from pathlib import Path

from dca_keras._extras import import_extra
from dca_keras._run_files import PATHS
from dca_keras.weights._shipped import list_weights, shipped_folder

HUB = "hf://"
PUBLISHED = (".pth", ".pt", ".safetensors")
KERAS = (".keras", ".h5")
# In a run's folder, in a shared one, and on the Hub.
IN_FOLDER = (PATHS["model"], PATHS["shared_model"])
SHARED = ("*.json", "*.h5")  # All that we read of a repository.
RULE = (
    "one of dca_keras.zoo.list_weights(), a run's folder, a `.keras`, "
    "`.weights.h5`, `.pth`, `.pt` or `.safetensors` file, or hf://USER/NAME"
)


def find_file(source):
    """Return the path of the file that a source of weights stands for.

    Args:
        source: See `load_weights`.

    Raises:
        ValueError: If there is no such file.
        ImportError: If a repository is named and the Hub's client is not
            installed.
    """
    path = find_folder(source)
    if path.is_dir():
        found = [path / name for name in IN_FOLDER if (path / name).is_file()]
        if not found:
            raise ValueError(
                f"{path} holds no weights: neither {' nor '.join(IN_FOLDER)}. "
                f"`weights` must be {RULE}."
            )
        return found[0]
    if not path.is_file():
        raise ValueError(
            f"There is no {path}. `weights` must be {RULE}. The names are "
            f"{list(list_weights())}."
        )
    if path.suffix not in (*PUBLISHED, *KERAS):
        raise ValueError(f"`weights` must be {RULE}. Received: {path}")
    return path


def find_folder(name: str | Path) -> Path:
    """Return the folder that a name stands for, or the path as it is.

    Args:
        name: A path, the name of shipped weights, or "hf://USER/NAME", which
            is downloaded. A path that exists comes before a name.

    Raises:
        ValueError: If the repository can't be read.
        ImportError: If a repository is named and the Hub's client is not
            installed.
    """
    hub, _, repository = str(name).partition(":/")
    if hub == "hf":  # A `Path` has one slash less.
        return _download(repository.removeprefix("/"))
    path = Path(name).expanduser()
    return path if path.exists() else shipped_folder(str(name)) or path


def _download(repository):
    if repository.count("/") != 1:
        raise ValueError(
            "A repository's name must be USER/NAME. Received: "
            f"{HUB}{repository}"
        )
    hub = import_extra(
        "huggingface_hub", extra="hub", purpose="Reading from the Hub"
    )
    try:
        folder = hub.snapshot_download(repository, allow_patterns=SHARED)
    except Exception as error:  # The client's own, and those of its requests.
        raise ValueError(f"{HUB}{repository} can't be read: {error}") from error
    if not Path(folder, IN_FOLDER[-1]).is_file():
        raise ValueError(
            f"{HUB}{repository} can't be read: it holds no {IN_FOLDER[-1]}. "
            "`dca-keras share` writes one."
        )
    return Path(folder)
