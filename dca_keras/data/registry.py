"""Data sets by name: ours and those that users register."""

import collections
import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

from dca_keras._registry import Registry
from dca_keras.data.archive import shorten
from dca_keras.data.samples import PROTOCOLS, Splits

FACTS = ("class_names", "intensity_window", "published_batch")

_READERS = Registry("data set")
_FACTS = {}
_LAYOUTS = {}


def register_dataset(
    name: str,
    *,
    class_names: Sequence[str] | None = None,
    intensity_window: tuple[float, float] | None = None,
    published_batch: int | None = None,
    layouts: Sequence[tuple[str, ...]] = (),
) -> Callable[[Callable[..., Splits]], Callable[..., Splits]]:
    """Make a reader known to `read_dataset` under a name.

    A reader is a function that returns the `Splits` of a data set.

    ```python
    @dca_keras.data.register_dataset("cells", class_names=("cell",))
    def read_cells(data_dir, *, channels=3, num_classes=1):
        ...
        return Splits(train, val, test)
    ```

    It takes any of `data_dir`, `channels`, `num_classes` and `seed`, and
    arguments of its own with default values. `read_dataset` passes those
    that it takes and the user gave.

    Args:
        name: The data set's name, not yet taken.
        class_names: As in `Splits`, like the next two; they hold for every
            `Splits` of the reader that says nothing else.
        intensity_window: As in `Splits`.
        published_batch: As in `Splits`.
        layouts: What tells `detect` that a folder is this data set: tuples
            of glob patterns; a folder that holds all of one tuple is it.

    Returns:
        A decorator that returns the reader as it is.

    Raises:
        ValueError: If another reader has the name.
    """

    def register(reader):
        _READERS.add(name, reader)
        _FACTS[name] = {
            "class_names": class_names,
            "intensity_window": intensity_window,
            "published_batch": published_batch,
        }
        _LAYOUTS[name] = tuple(map(tuple, layouts))
        return reader

    return register


def list_datasets() -> list[str]:
    """Return the names that `read_dataset` knows, sorted."""
    return tuple(sorted(_READERS.names()))


def known_layouts():
    """Return what tells of each data set, as `register_dataset` has it."""
    return dict(_LAYOUTS)


def reader_takes(name: str, argument: str) -> bool:
    """Whether the reader of a data set takes an argument.

    Args:
        name: One of `list_datasets()`.
        argument: Name of an argument, such as "fold".
    """
    return argument in inspect.signature(_READERS.get(name)).parameters


def dataset_facts(name: str) -> dict:
    """Return what a data set was registered with.

    Args:
        name: The data set's name.

    Returns:
        A dictionary of `class_names`, `intensity_window` and
        `published_batch`, see `Splits`. All are None for a name that is not
        registered.
    """
    return _FACTS.get(name, dict.fromkeys(FACTS))


def read_dataset(
    name: str,
    data_dir: str | Path | None = None,
    *,
    channels: int | None = None,
    num_classes: int | None = None,
    classes: str | Path | None = None,
    case_pattern: str | None = None,
    fold: str | None = None,
    seed: int = 0,
    protocol: str = "held_out",
    **own,
) -> Splits:
    """Find the samples of a data set, whose images are loaded later.

    Args:
        name: One of `list_datasets()`.
        data_dir: The data set's folder; None for one that is generated.
        channels: Of the images; None is the data set's own.
        num_classes: 1, or the number of classes with the background; None
            is the data set's own.
        classes: File of the values or colours in masks and their classes;
            None finds them.
        case_pattern: Regular expression that finds the patient or slide in a
            file's name; None is the data set's own way.
        fold: "K/N", such as "0/5", to make this fold of a cross-validation
            the test split; None is the data set's own split.
        seed: Seed of a data set that is generated. How files are divided
            into splits depends on their names alone.
        protocol: "held_out", or "paper" to validate on the test split as the
            paper did, see `Splits`.
        **own: Further arguments of the data set's reader.

    Returns:
        The `Splits`.

    Raises:
        ValueError: If an argument is not one that the data set takes, or
            the folder is not as the reader expects.
    """
    if name not in _READERS.names():
        raise ValueError(
            f"`name` must be one of {list_datasets()}. Received: {name!r}"
        )
    for count, value in (("channels", channels), ("num_classes", num_classes)):
        if value is not None and value < 1:
            raise ValueError(f"`{count}` must be 1 or more. Received: {value}")
    if protocol not in PROTOCOLS:
        raise ValueError(
            f"`protocol` must be one of {PROTOCOLS}. Received: {protocol!r}"
        )
    reader = _READERS.get(name)
    given = {
        "data_dir": data_dir,
        "channels": channels,
        "num_classes": num_classes,
        "seed": seed,
    }
    own |= {"classes": classes, "case_pattern": case_pattern, "fold": fold}
    own = {key: value for key, value in own.items() if value is not None}
    splits = reader(**_arguments(name, reader, given, own))
    if not isinstance(splits, Splits):
        raise ValueError(
            f"The reader of {name!r} must return `dca_keras.data.Splits`. "
            f"Received: {type(splits).__name__}"
        )
    _check_names(name, splits)
    facts = {
        fact: value
        for fact, value in _FACTS[name].items()
        if getattr(splits, fact) is None
    }
    splits = dataclasses.replace(splits, **facts)
    return splits if protocol == "held_out" else splits.as_in_paper()


def _check_names(name, splits):
    samples = (*splits.train, *splits.val, *splits.test)
    counts = collections.Counter(sample.name for sample in samples)
    if twice := [sample for sample, count in counts.items() if count > 1]:
        raise ValueError(
            f"The reader of {name!r} must give every sample a name of its "
            f"own, also across splits. Received twice: {shorten(twice)}."
        )


def _arguments(name, reader, given, own):
    """Return those of the arguments that the reader takes."""
    takes = inspect.signature(reader).parameters
    if unknown := sorted(own.keys() - takes.keys()):
        raise ValueError(
            f"{name!r} takes no {unknown}. It takes {sorted(takes)}."
        )
    if "data_dir" not in takes and given["data_dir"] is not None:
        raise ValueError(
            f"{name!r} is read from no folder. Leave `data_dir` out. "
            f"Received: {str(given['data_dir'])!r}"
        )
    needs = [k for k, v in takes.items() if v.default is v.empty]
    if "data_dir" in needs and given["data_dir"] is None:
        raise ValueError(f"{name!r} needs `data_dir`, its folder.")
    return {
        key: value
        for key, value in (given | own).items()
        if key in takes and value is not None
    }
