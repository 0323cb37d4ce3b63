"""Scores of trained models on held-out images, and reports of them."""

from dca_keras.evaluation._comparison import compare
from dca_keras.evaluation._datasets import evaluate_dataset, evaluate_on
from dca_keras.evaluation._grids import OriginalGrid
from dca_keras.evaluation._intervals import mean_intervals, nested_intervals
from dca_keras.evaluation._runs import (
    evaluate_run,
    run_dice,
    run_grid,
    run_samples,
)
from dca_keras.evaluation._scores import DISTANCES
from dca_keras.evaluation._scoring import evaluate_model
from dca_keras.evaluation._table import score_table
from dca_keras.evaluation._wording import HEADINGS

__all__ = [
    "DISTANCES",
    "HEADINGS",
    "OriginalGrid",
    "compare",
    "evaluate_dataset",
    "evaluate_model",
    "evaluate_on",
    "evaluate_run",
    "mean_intervals",
    "nested_intervals",
    "run_dice",
    "run_grid",
    "run_samples",
    "score_table",
]
