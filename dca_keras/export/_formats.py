"""ONNX, OpenVINO and LiteRT files, each checked in its own runtime."""

import os
import re
import tempfile
from pathlib import Path

import keras

from dca_keras._extras import import_extra
from dca_keras.export._check import (
    Exported,
    check_backend,
    check_difference,
    check_images,
    largest_difference,
)
from dca_keras.export._folding import inference_model
from dca_keras.export._runtimes import load_litert, load_onnx, load_openvino


def onnx(model, path, *, any_size=False, images=None):
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
    return _write(
        model, path, ".onnx", load_onnx, any_size, images, {"format": "onnx"}
    )


def openvino(model, path, *, any_size=False, images=None):
    """Write an OpenVINO file, with its weights beside it, and run it.

    Args:
        model: A functional `keras.Model` that returns probabilities.
        path: The file to write; `.xml` is added if it is missing.
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
        ImportError: If the extra `openvino` is not installed,
            or Keras is older than 3.13.
    """
    _check_keras("3.13", "openvino")
    import_extra("openvino", extra="openvino", purpose="Exporting to OpenVINO")
    options = {"format": "openvino"}
    return _write(model, path, ".xml", load_openvino, any_size, images, options)


def litert(model, path, *, int8=False, any_size=False, images=None):
    """Write a LiteRT file and run it.

    Args:
        model: A functional `keras.Model` that returns probabilities.
        path: The file to write; `.tflite` is added if it is missing.
        int8: Whether weights have 8 bits and activations are quantized at
            inference ("dynamic range").
        any_size: Whether the file takes images of every size that the
            architecture allows, even if the model was built for one.
        images: Images to check the file with, `(height, width, channels)`
            each, floats in [0, 1]; they are resized for the model. `None`
            draws some.

    Returns:
        An `Exported`.

    Raises:
        ValueError: If the model can't be written in this format, or the file
            differs from it by more than 1e-3 without `int8`. Then no file is
            left.
        ImportError: If the extra `litert` is not installed,
            or Keras is older than 3.13.
    """
    _check_keras("3.13", "litert")
    import_extra(
        "ai_edge_litert.interpreter",
        extra="litert",
        purpose="Exporting to LiteRT",
    )
    import tensorflow as tf

    options = {"format": "litert"}
    if int8:
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    return _write(
        model,
        path,
        ".tflite",
        load_litert,
        any_size,
        images,
        options,
        bounded=not int8,
    )


def _write(model, path, suffix, load, any_size, images, options, bounded=True):
    check_backend()
    path = Path(path)
    if path.suffix != suffix:
        path = path.with_name(path.name + suffix)
    exported = inference_model(model, any_size=any_size)
    checked = check_images(model, images)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        temporary = Path(folder, path.name)
        try:
            _export(exported, temporary, options)
            run = load(str(temporary))
            difference = largest_difference(model, run, checked)
        except Exception as error:  # Converters and runtimes raise anything.
            raise ValueError(
                f"{model.name} can't be exported as {suffix[1:]}"
                f"{' with `any_size`' * any_size}: {_explain(error)}"
            ) from error
        if bounded:
            check_difference(difference, f"{suffix} file")
        # Files that it refers to (OpenVINO's .bin) come first.
        files = sorted(Path(folder).iterdir(), key=lambda f: f == temporary)
        size = sum(file.stat().st_size for file in files)
        for file in files:
            os.replace(file, path.parent / file.name)
    return Exported(path, difference, len(checked), images is None, size)


def _explain(error):
    """Return what an error of a converter or a runtime means."""
    # LiteRT runs operations that it lacks in TensorFlow, where that is linked.
    if missing := re.search(r"Flex([A-Z]\w+)", str(error)):
        reason = f"LiteRT has no operation {missing[1]}"
    # Its converter precedes the reason by all places in the graph.
    elif unfit := re.search(r"'tfl\.(\w+)' op ([^\n]+)", str(error)):
        reason = f"LiteRT's operation {unfit[1]} {unfit[2]}"
    else:
        return error
    return f"{reason}. Export to ONNX or OpenVINO."


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


def _export(model, path, options):
    shape = (None, *model.input_shape[1:])
    spec = keras.InputSpec(dtype="float32", shape=shape, name="images")
    model.export(str(path), verbose=False, input_signature=[spec], **options)
