"""Dual Cross-Attention for medical image segmentation on Keras 3."""

from dca_keras._version import __version__
from dca_keras.config import DCAConfig

__all__ = ["DCAConfig", "DualCrossAttention", "__version__"]


def __getattr__(name):
    # Keras takes seconds to import and the command line's help needs none of
    # it, so the one name here that needs Keras is looked up on first use.
    if name == "DualCrossAttention":
        from dca_keras.layers import DualCrossAttention

        return DualCrossAttention
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
