"""Trained models on images of any size, and on files of them."""

from dca_keras.prediction._files import Predictions, predict_files
from dca_keras.prediction._model import predict, to_mask
from dca_keras.prediction._runs import load_run
from dca_keras.prediction._ways import Way, choose_way

__all__ = [
    "Predictions",
    "Way",
    "choose_way",
    "load_run",
    "predict",
    "predict_files",
    "to_mask",
]
