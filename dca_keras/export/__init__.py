"""Trained models for systems that run them without this package.

Each function writes one format, runs it on images in the format's own
runtime, and keeps it only if its probabilities are the model's.
"""

from dca_keras.export._check import Exported
from dca_keras.export._engines import ENGINES, engine, open_engine
from dca_keras.export._formats import litert, onnx, openvino
from dca_keras.export._loading import ServedModel, load_saved_model
from dca_keras.export._runs import FORMATS, export_run
from dca_keras.export._runtimes import (
    RuntimeModel,
    load_litert,
    load_onnx,
    load_openvino,
)
from dca_keras.export._saved_model import saved_model

__all__ = [
    "ENGINES",
    "FORMATS",
    "Exported",
    "RuntimeModel",
    "ServedModel",
    "engine",
    "export_run",
    "litert",
    "load_litert",
    "load_onnx",
    "load_openvino",
    "load_saved_model",
    "onnx",
    "open_engine",
    "openvino",
    "saved_model",
]
