"""Predictions of trained models for images of any size, and for files."""

from dca_keras.prediction._explain import (
    ModelInput,
    explain_file,
    prepare_input,
)
from dca_keras.prediction._files import Predictions, predict_files
from dca_keras.prediction._members import Member, open_member
from dca_keras.prediction._model import (
    gather_rows,
    predict,
    predict_rows,
    to_mask,
)
from dca_keras.prediction._names import name_outputs
from dca_keras.prediction._outputs import ends as output_ends
from dca_keras.prediction._outputs import write_mask
from dca_keras.prediction._plan import PredictionPlan, plan_prediction
from dca_keras.prediction._runs import load_run
from dca_keras.prediction._sides import side_multiple
from dca_keras.prediction._source import predict_source

# Names of earlier versions.
Way = PredictionPlan
choose_way = plan_prediction

__all__ = [
    "Member",
    "ModelInput",
    "PredictionPlan",
    "Predictions",
    "Way",
    "choose_way",
    "explain_file",
    "gather_rows",
    "load_run",
    "name_outputs",
    "open_member",
    "output_ends",
    "plan_prediction",
    "predict",
    "predict_files",
    "predict_rows",
    "predict_source",
    "prepare_input",
    "side_multiple",
    "to_mask",
    "write_mask",
]
