"""Training: from a recipe to a folder with a model and its scores."""

from dca_keras.training._train import train

__all__ = ["train"]
