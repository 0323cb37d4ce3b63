"""Training: from a recipe to a folder with a model and its scores."""

from dca_keras.training._train import train
from dca_keras.training._usable import open_dataset, read_usable

__all__ = ["open_dataset", "read_usable", "train"]
