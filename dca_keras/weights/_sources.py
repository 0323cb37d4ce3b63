"""Where weights are: a run, a file, or a repository on the Hub."""

from pathlib import Path

from dca_keras._extras import import_extra

HUB = "hf://"
PUBLISHED = (".pth", ".pt", ".safetensors")
KERAS = (".keras", ".h5")
# In a run's folder, in a shared one, and on the Hub.
IN_FOLDER = ("model.keras", "model.weights.h5")
RULE = (
    "a run's folder, a `.keras`, `.weights.h5`, `.pth`, `.pt` or "
    "`.safetensors` file, or hf://USER/NAME"
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
    if str(source).startswith(HUB):
        return _download(str(source).removeprefix(HUB))
    path = Path(source).expanduser()
    if path.is_dir():
        found = [path / name for name in IN_FOLDER if (path / name).is_file()]
        if not found:
            raise ValueError(
                f"{path} holds no weights: neither {' nor '.join(IN_FOLDER)}. "
                f"`weights` must be {RULE}."
            )
        return found[0]
    if not path.is_file():
        raise ValueError(f"There is no {path}. `weights` must be {RULE}.")
    if path.suffix not in (*PUBLISHED, *KERAS):
        raise ValueError(f"`weights` must be {RULE}. Received: {path}")
    return path


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
        return Path(hub.hf_hub_download(repository, IN_FOLDER[-1]))
    except Exception as error:  # The client's own, and those of its requests.
        raise ValueError(f"{HUB}{repository} can't be read: {error}") from error
