"""Scores of trained models on held-out images, and the files that tell them."""

from dca_keras.evaluation._comparison import compare
from dca_keras.evaluation._intervals import mean_intervals
from dca_keras.evaluation._runs import (
    evaluate_dataset,
    evaluate_on,
    evaluate_run,
)
from dca_keras.evaluation._scoring import evaluate_model

__all__ = [
    "compare",
    "evaluate_dataset",
    "evaluate_model",
    "evaluate_on",
    "evaluate_run",
    "mean_intervals",
]
