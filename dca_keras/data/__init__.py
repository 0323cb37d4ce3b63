"""Data sets: read, checked, and made into batches.

`read_dataset("image_folder", "my/folder").train` is a tuple of samples, and
`make_dataset(samples, (224, 224), 8)` what a model is fitted to. Importing
this package does not import TensorFlow; making batches does.
"""

import importlib
import inspect

from dca_keras.data.checks import check_batch
from dca_keras.data.cvc_clinicdb import read_cvc_clinicdb
from dca_keras.data.decoding import (
    read_image,
    read_mask,
    resize_image,
    resize_mask,
)
from dca_keras.data.glas import read_glas
from dca_keras.data.image_folder import read_image_folder
from dca_keras.data.kvasir_seg import read_kvasir_seg
from dca_keras.data.monuseg import read_monuseg
from dca_keras.data.samples import PROTOCOLS, Sample, Splits, check_samples
from dca_keras.data.summary import save_contact_sheet, summarize
from dca_keras.data.synapse import read_synapse
from dca_keras.data.synthetic import read_synthetic

_READERS = {
    "cvc_clinicdb": read_cvc_clinicdb,
    "glas": read_glas,
    "image_folder": read_image_folder,
    "kvasir_seg": read_kvasir_seg,
    "monuseg": read_monuseg,
    "synapse": read_synapse,
    "synthetic": read_synthetic,
}
_NEEDING_TENSORFLOW = {
    "augment": "augmentation",
    "make_dataset": "pipeline",
    "prepare": "records",
}

__all__ = [
    "Sample",
    "Splits",
    "augment",
    "check_batch",
    "check_samples",
    "list_datasets",
    "make_dataset",
    "prepare",
    "read_dataset",
    "read_image",
    "read_mask",
    "resize_image",
    "resize_mask",
    "save_contact_sheet",
    "summarize",
]


def list_datasets():
    """The names that `read_dataset` knows."""
    return tuple(sorted(_READERS))


def read_dataset(
    name,
    data_dir=None,
    *,
    channels=None,
    num_classes=None,
    seed=0,
    protocol="held_out",
    **own,
):
    """Find the samples of a data set; no image is loaded yet.

    Args:
        name: One of `list_datasets()`.
        data_dir: The folder it lies in; None for one that is drawn.
        channels: Of the images, 1 or 3; None is the data set's own.
        num_classes: 1, or the number of classes with the background; None
            is the data set's own.
        seed: Of a data set that is drawn. How files are cut into parts
            depends on their names alone.
        protocol: "held_out", or "paper" to validate on the test part as the
            paper did, see `Splits`.
        **own: What the data set's reader takes besides.

    Returns:
        The `Splits`.

    Raises:
        ValueError: If an argument is not one that the data set takes, or
            the reader finds fault with the folder.
    """
    if name not in _READERS:
        raise ValueError(
            f"`name` must be one of {list_datasets()}. Received: {name!r}"
        )
    if channels not in (None, 1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: {channels!r}")
    if num_classes is not None and num_classes < 1:
        raise ValueError(
            f"`num_classes` must be 1 or more. Received: {num_classes!r}"
        )
    if protocol not in PROTOCOLS:
        raise ValueError(
            f"`protocol` must be one of {PROTOCOLS}. Received: {protocol!r}"
        )
    reader = _READERS[name]
    takes = inspect.signature(reader).parameters
    if unknown := sorted(own.keys() - takes.keys()):
        raise ValueError(
            f"{name!r} takes no {unknown}. It takes {sorted(takes)}."
        )
    if "data_dir" in takes and data_dir is None:
        raise ValueError(f"{name!r} needs `data_dir`, the folder it lies in.")
    if "data_dir" not in takes and data_dir is not None:
        raise ValueError(
            f"{name!r} is read from no folder. Leave `data_dir` out. "
            f"Received: {str(data_dir)!r}"
        )
    given = {
        "data_dir": data_dir,
        "channels": channels,
        "num_classes": num_classes,
        "seed": seed,
        **own,
    }
    splits = reader(
        **{
            key: value
            for key, value in given.items()
            if key in takes and value is not None
        }
    )
    return splits if protocol == "held_out" else splits.as_in_paper()


def __getattr__(name):
    if name in _NEEDING_TENSORFLOW:
        module = importlib.import_module(
            f"{__name__}.{_NEEDING_TENSORFLOW[name]}"
        )
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
