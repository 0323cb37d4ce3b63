"""Dual Cross-Attention for medical image segmentation on Keras 3."""

import importlib
import typing

from dca_keras._version import __version__
from dca_keras.config import DCAConfig

if typing.TYPE_CHECKING:
    from dca_keras.layers import DualCrossAttention as DualCrossAttention
    from dca_keras.run import Run as Run
    from dca_keras.surgery import find_skips as find_skips
    from dca_keras.surgery import insert_dca as insert_dca

# Keras takes seconds to import and the command line's help needs none of it,
# so names that need Keras are looked up on first use.
_LAZY = {
    "DualCrossAttention": "dca_keras.layers",
    "Run": "dca_keras.run",
    "find_skips": "dca_keras.surgery",
    "insert_dca": "dca_keras.surgery",
}

__all__ = ["DCAConfig", "__version__", *_LAZY]


def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
