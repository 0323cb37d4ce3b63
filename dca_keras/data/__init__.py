"""Data sets: reading, checking and batching them.

`read_dataset("image_folder", "my/folder").train` is a tuple of samples, and
`make_dataset(samples, (224, 224), 8)` what a model is fitted to. Importing
this package does not import TensorFlow; making batches does.
"""

import importlib
import typing

# Each of these registers a data set.
from dca_keras.data import (
    cvc_clinicdb,  # noqa: F401
    glas,  # noqa: F401
    image_folder,  # noqa: F401
    kvasir_seg,  # noqa: F401
    monuseg,  # noqa: F401
    nnunet,  # noqa: F401
    synapse,  # noqa: F401
    synthetic,  # noqa: F401
)
from dca_keras.data.affine import RandomAffine
from dca_keras.data.checks import check_batch
from dca_keras.data.cross_validation import folds, take_fold
from dca_keras.data.decoding import (
    read_image,
    read_mask,
    resize_image,
    resize_mask,
)
from dca_keras.data.detection import detect
from dca_keras.data.fingerprint import Fingerprint, measure
from dca_keras.data.intensity import RandomIntensity
from dca_keras.data.prepared import prepare
from dca_keras.data.preprocessing import Preprocessing
from dca_keras.data.registry import (
    dataset_facts,
    list_datasets,
    read_dataset,
    reader_takes,
    register_dataset,
)
from dca_keras.data.samples import Sample, Splits, check_samples
from dca_keras.data.series import read_series
from dca_keras.data.summary import (
    describe_strays,
    save_contact_sheet,
    summarize,
)

if typing.TYPE_CHECKING:
    from dca_keras.data.augmentation import augment as augment
    from dca_keras.data.pipeline import make_dataset as make_dataset

_NEEDING_TENSORFLOW = {
    "augment": "augmentation",
    "make_dataset": "pipeline",
}

__all__ = [
    "Fingerprint",
    "Preprocessing",
    "RandomAffine",
    "RandomIntensity",
    "Sample",
    "Splits",
    "augment",
    "check_batch",
    "check_samples",
    "dataset_facts",
    "describe_strays",
    "detect",
    "folds",
    "list_datasets",
    "make_dataset",
    "measure",
    "prepare",
    "read_dataset",
    "read_image",
    "read_mask",
    "reader_takes",
    "read_series",
    "register_dataset",
    "resize_image",
    "resize_mask",
    "save_contact_sheet",
    "summarize",
    "take_fold",
]


def __getattr__(name):
    if name in _NEEDING_TENSORFLOW:
        module = importlib.import_module(
            f"{__name__}.{_NEEDING_TENSORFLOW[name]}"
        )
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
