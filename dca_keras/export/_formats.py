"""ONNX, OpenVINO and LiteRT files, each checked in its own runtime."""

import os
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

# Indented as it will stand in the functions' docstrings.
_COMMON = """\
Args:
        model: A functional `keras.Model` that returns probabilities.
        path: The file to write; {suffix} is added where it lacks it.
        any_size: Whether it takes images of every size that the architecture
            allows, though the model was built for one.
        images: `(height, width, channels)` each, floats in [0, 1], to check
            the file with, resized to the model's size; `None` draws some.

    Returns:
        An `Exported`.

    Raises:
        ValueError: If the model can't be written so, or the file differs
            from it by more than 1e-3{int8}. No file is left then.
        ImportError: If the extra `{extra}` is not installed."""


def _documented(suffix, extra, int8=""):
    """Writes what the functions share into the docstring."""

    def document(function):
        if function.__doc__:  # none under python -OO
            common = _COMMON.format(suffix=suffix, extra=extra, int8=int8)
            function.__doc__ = function.__doc__.replace("{common}", common)
        return function

    return document


@_documented("`.onnx`", "onnx")
def onnx(model, path, *, any_size=False, images=None):
    """Writes an ONNX file and runs it in ONNX Runtime.

    {common}
    """
    for module in ("onnx", "tf2onnx", "onnxruntime"):
        import_extra(module, extra="onnx", purpose="Exporting to ONNX")
    return _write(
        model, path, ".onnx", load_onnx, any_size, images, {"format": "onnx"}
    )


@_documented("`.xml`", "openvino")
def openvino(model, path, *, any_size=False, images=None):
    """Writes an OpenVINO file, with its weights beside it, and runs it.

    {common}
    """
    import_extra("openvino", extra="openvino", purpose="Exporting to OpenVINO")
    options = {"format": "openvino"}
    return _write(model, path, ".xml", load_openvino, any_size, images, options)


@_documented("`.tflite`", "litert", " (with `int8` it is only told)")
def litert(model, path, *, int8=False, any_size=False, images=None):
    """Writes a LiteRT file and runs it.

    With `int8` the weights have 8 bits and what flows between layers is
    quantised on the way ("dynamic range").

    {common}
    """
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
                f"{' with `any_size`' * any_size}: {error}"
            ) from error
        if bounded:
            check_difference(difference, f"{suffix} file")
        # What the file refers to (OpenVINO's .bin) first, itself last.
        files = sorted(Path(folder).iterdir(), key=lambda f: f == temporary)
        size = sum(file.stat().st_size for file in files)
        for file in files:
            os.replace(file, path.parent / file.name)
    return Exported(path, difference, len(checked), images is None, size)


def _export(model, path, options):
    shape = (None, *model.input_shape[1:])
    spec = keras.InputSpec(dtype="float32", shape=shape, name="images")
    model.export(str(path), verbose=False, input_signature=[spec], **options)
