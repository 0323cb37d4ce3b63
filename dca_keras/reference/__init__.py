"""Load the published PyTorch checkpoints into our models."""

from dca_keras.reference._load import (
    fit_reference_weights,
    load_reference_weights,
)

__all__ = ["fit_reference_weights", "load_reference_weights"]
