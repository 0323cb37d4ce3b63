"""ONNX, OpenVINO and LiteRT files, each checked in its own runtime."""

from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np

from dca_keras._extras import import_extra
from dca_keras.export._check import Exported
from dca_keras.export._quantization import (
    check_quantizer,
    quantize_litert,
    quantize_openvino,
)
from dca_keras.export._runtimes import load_litert, load_onnx, load_openvino
from dca_keras.export._writing import write_file


def onnx(
    model: keras.Model,
    path: str | Path,
    *,
    any_size: bool = False,
    images: Iterable[np.ndarray] | None = None,
) -> Exported:
    """Write an ONNX file and run it in ONNX Runtime.

    Args:
        model: A functional `keras.Model` that returns probabilities.
        path: The file to write; `.onnx` is added if it is missing.
        any_size: Whether the file takes images of every size that the
            architecture allows, even if the model was built for one.
        images: Images to check the file with, `(height, width, channels)`
            each, floats in [0, 1]; they are resized for the model. `None`
            draws some.

    Returns:
        An `Exported`.

    Raises:
        ValueError: If the model can't be written in this format, or the file
            differs from it by more than 1e-3. Then no file is left.
        ImportError: If the extra `onnx` is not installed.
    """
    for module in ("onnx", "tf2onnx", "onnxruntime"):
        import_extra(module, extra="onnx", purpose="Exporting to ONNX")
    return write_file(
        model, path, ".onnx", load_onnx, any_size, images, {"format": "onnx"}
    )


def openvino(
    model: keras.Model,
    path: str | Path,
    *,
    calibration: np.ndarray | None = None,
    choose: Callable[[dict[str, Callable]], str] | None = None,
    any_size: bool = False,
    images: Iterable[np.ndarray] | None = None,
) -> Exported:
    """Write an OpenVINO file, with its weights beside it, and run it.

    Args:
        model: A functional `keras.Model` that returns probabilities.
        path: The file to write; `.xml` is added if it is missing.
        calibration: Images, `(batch, *sides, channels)`, as the model sees
            them: then its convolutions have 8 bits, with scales that fit
            these images. `None` for float32.
        choose: A function that says which file to keep, before it is put in
            place. It is called with a dictionary of the files' functions,
            from images to probabilities, and returns a key: with
            `calibration` there is one for each way to fit the scales. If it
            raises `ValueError`, no file is left. `None` keeps the first.
        any_size: Whether the file takes images of every size that the
            architecture allows, even if the model was built for one.
        images: Images to check the file with, `(height, width, channels)`
            each, floats in [0, 1]; they are resized for the model. `None`
            draws some.

    Returns:
        An `Exported`.

    Raises:
        ValueError: If the model can't be written in this format, or the file
            differs from it by more than 1e-3 without `calibration`. Then no
            file is left.
        ImportError: If the extra `openvino`, or with `calibration` the extra
            `int8`, is not installed, or Keras is older than 3.13.
    """
    _check_keras("3.13", "openvino")
    import_extra("openvino", extra="openvino", purpose="Exporting to OpenVINO")
    if calibration is not None:
        check_quantizer("openvino")
    return write_file(
        model,
        path,
        ".xml",
        load_openvino,
        any_size,
        images,
        {"format": "openvino"},
        bounded=calibration is None,
        quantize=_quantizer(quantize_openvino, calibration),
        choose=choose,
        resizing=True,
    )


def litert(
    model: keras.Model,
    path: str | Path,
    *,
    int8: bool = False,
    calibration: np.ndarray | None = None,
    choose: Callable[[dict[str, Callable]], str] | None = None,
    any_size: bool = False,
    images: Iterable[np.ndarray] | None = None,
) -> Exported:
    """Write a LiteRT file and run it.

    Args:
        model: A functional `keras.Model` that returns probabilities.
        path: The file to write; `.tflite` is added if it is missing.
        int8: Whether weights have 8 bits and activations are quantized at
            inference ("dynamic range").
        calibration, choose: As in `openvino`.
        any_size: Whether the file takes images of every size that the
            architecture allows, even if the model was built for one.
        images: Images to check the file with, `(height, width, channels)`
            each, floats in [0, 1]; they are resized for the model. `None`
            draws some.

    Returns:
        An `Exported`.

    Raises:
        ValueError: If the model can't be written in this format, or the file
            differs from it by more than 1e-3 without 8 bits. Then no file is
            left.
        ImportError: If the extra `litert`, or with `calibration` the extra
            `int8`, is not installed, or Keras is older than 3.13.
    """
    if int8 and calibration is not None:
        raise ValueError(
            "`int8` needs no `calibration`: activations are quantized at "
            "inference. Give one of the two."
        )
    _check_keras("3.13", "litert")
    import_extra(
        "ai_edge_litert.interpreter",
        extra="litert",
        purpose="Exporting to LiteRT",
    )
    if calibration is not None:
        check_quantizer("litert")
    import tensorflow as tf

    options = {"format": "litert"}
    if int8:
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    return write_file(
        model,
        path,
        ".tflite",
        load_litert,
        any_size,
        images,
        options,
        bounded=not int8 and calibration is None,
        quantize=_quantizer(quantize_litert, calibration),
        choose=choose,
        resizing=True,
    )


def _quantizer(quantize, calibration):
    """Return a function of a file that quantizes it; or `None`."""
    if calibration is None:
        return None
    return lambda path: quantize(path, calibration)


def _check_keras(version, extra):
    """Raise `ImportError` if Keras can't write the format of an extra yet."""
    least, found = (
        tuple(map(int, text.split(".")[:2]))
        for text in (version, keras.__version__)
    )
    if found < least:
        raise ImportError(
            f"Exporting to {extra} needs Keras {version} or later: pip install "
            f'"dca-keras[{extra}]". Received: {keras.__version__}'
        )
