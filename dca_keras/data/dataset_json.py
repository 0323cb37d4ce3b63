"""The dataset.json of nnU-Net and of the Medical Segmentation Decathlon."""

import dataclasses
import json
from pathlib import Path

from dca_keras.data.archive import shorten

VOLUMES = (".nii.gz", ".nii")
PICTURES = (".png", ".bmp", ".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class Description:
    """What a dataset.json says.

    Attributes:
        path: The file.
        channels: The channels' names, such as ("CT",) or ("T1", "FLAIR").
        labels: The value in the masks and the name of every class, in order
            of the values, the background's first.
        ending: The files' ending, such as .nii.gz.
        pairs: A dictionary from a case to its images and its label, as
            written, if they are listed; else None.
    """

    path: Path
    channels: tuple[str, ...]
    labels: dict[int, str]
    ending: str
    pairs: dict[str, tuple[tuple[str, ...], str]] | None

    @property
    def holds_volumes(self):
        return self.ending.lower() in VOLUMES

    @property
    def class_names(self):
        return tuple(self.labels.values())[1:]

    @property
    def classes(self):
        """The mapping to classes, if the values leave out a number."""
        if list(self.labels) == list(range(len(self.labels))):
            return None
        return {
            "num_classes": self.num_classes,
            "classes": [
                {"index": index, "name": name, "value": value}
                for index, (value, name) in enumerate(self.labels.items())
            ],
        }

    @property
    def num_classes(self):
        return 1 if len(self.labels) == 2 else len(self.labels)


def read_dataset_json(path):
    """Read a dataset.json, of either form.

    Raises:
        ValueError: If it can't be read, lacks what is needed, or asks for
            what this package can't do. It names the file.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
        channels = _channels(found)
        labels = _labels(found)
        pairs = _pairs(found)
        ending = _ending(found, pairs)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as e:
        reason = f"it has no {e}" if isinstance(e, KeyError) else e
        raise ValueError(f"{path} can't be used: {reason}") from e
    return Description(Path(path), channels, labels, ending, pairs)


def _channels(found):
    names = found.get("channel_names") or found.get("modality")
    if not names:
        raise ValueError(
            "it names no channels. Add `channel_names`, such as "
            '{"0": "CT"} or {"0": "MRI"}.'
        )
    if isinstance(names, list):
        return tuple(map(str, names))
    ordered = sorted((int(number), str(name)) for number, name in names.items())
    if [number for number, _ in ordered] != list(range(len(ordered))):
        raise ValueError(f"its channels must be numbered from 0: {names}.")
    return tuple(name for _, name in ordered)


def _labels(found):
    """Return the names by value, from either direction."""
    labels = found["labels"]
    if all(str(key).isdecimal() for key in labels):
        labels = {name: int(value) for value, name in labels.items()}
    regions = [name for name, v in labels.items() if isinstance(v, list)]
    if regions:
        raise ValueError(
            f"its labels {shorten(regions)} are regions of several values, "
            "which can't be trained on. Give every class one value."
        )
    if "ignore" in labels:
        raise ValueError(
            "its label `ignore` marks voxels to leave out of the loss, which "
            "can't be done. Label them, or remove their cases."
        )
    named = {int(value): str(name) for name, value in labels.items()}
    if len(named) < len(labels):
        raise ValueError(f"two of its labels have one value: {labels}.")
    if 0 not in named or len(named) < 2 or min(named) < 0:
        raise ValueError(
            "its labels must be 0, the background, and 1 or more classes: "
            f"{labels}."
        )
    return dict(sorted(named.items()))


def _pairs(found):
    """Return the listed images and labels of every case, if there are any."""
    if "dataset" in found:  # nnU-Net's list, paths of every channel
        return {
            case: (tuple(map(str, pair["images"])), str(pair["label"]))
            for case, pair in found["dataset"].items()
        }
    listed = [pair for pair in found.get("training", []) if "image" in pair]
    if not listed:
        return None
    pairs = {}
    for pair in listed:
        name = Path(pair["image"]).name
        case = name[: len(name) - len(_ending_of(name))]
        if case in pairs:
            raise ValueError(f"it lists {case} twice.")
        pairs[case] = ((str(pair["image"]),), str(pair["label"]))
    return pairs


def _ending(found, pairs):
    ending = found.get("file_ending")
    if not ending and pairs:
        ending = _ending_of(next(iter(pairs.values()))[0][0])
    if not ending:
        raise ValueError('it has no `file_ending`. Add it, such as ".nii.gz".')
    if ending.lower() not in VOLUMES + PICTURES:
        raise ValueError(
            f"its files end in {ending}, which can't be read. Convert them "
            f"to one of {', '.join(VOLUMES + PICTURES)}."
        )
    return ending


def _ending_of(name):
    suffix = Path(name).suffix
    return Path(Path(name).stem).suffix + suffix if suffix == ".gz" else suffix
