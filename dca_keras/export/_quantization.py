"""Convolutions in 8 bits, with scales that calibration images give.

All else stays in floating point. Attention's products and softmax lose most
by 8 bits, and OpenVINO's CPU plug-in can't run some of what they become.
"""

import contextlib
import io
import logging
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np

from dca_keras._extras import import_extra

PURPOSE = "Calibrating 8 bits"
IMAGES = 64  # That a calibration looks at, at most.
_OPENVINO = (
    "Convolution",
    "ConvolutionBackpropData",
    "GroupConvolution",
    "GroupConvolutionBackpropData",
)
_LITERT = ("CONV_2D", "CONV_2D_TRANSPOSE", "DEPTHWISE_CONV_2D")


def check_quantizer(format):
    """Raise `ImportError` if the package that quantizes is not installed."""
    module = {"openvino": "nncf", "litert": "ai_edge_quantizer"}[format]
    import_extra(module, extra="int8", purpose=PURPOSE)


def quantize_openvino(path, images):
    """Quantize the convolutions of an OpenVINO file, in place.

    Args:
        path: The `.xml` file, with its weights beside it.
        images: `(batch, *sides, channels)`, float32, as the model sees them.
    """
    import nncf
    import openvino

    model = openvino.Core().read_model(path)
    kinds = {node.get_type_name() for node in model.get_ops()}
    rest = sorted(kinds.difference(_OPENVINO))
    images = pick(images)
    with _quiet("nncf"):
        quantized = nncf.quantize(
            model,
            nncf.Dataset([image[None] for image in images]),
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(types=rest, validate=False),
        )
    with _in_place_of(path) as new:
        openvino.save_model(quantized, new, compress_to_fp16=False)


def quantize_litert(path, images):
    """Quantize the convolutions of a LiteRT file, in place.

    Args:
        path: The `.tflite` file.
        images: As in `quantize_openvino`.
    """
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import qtyping, quantizer

    signatures = Interpreter(str(path)).get_signature_list()
    ((signature, names),) = signatures.items()
    samples = [{names["inputs"][0]: image[None]} for image in pick(images)]
    with _quiet():
        job = quantizer.Quantizer(str(path))
        for kind in _LITERT:
            kind = qtyping.TFLOperationName(kind)
            job.add_static_config(".*", kind, 8, 8)
        ranges = job.calibrate({signature: samples})
        result = job.quantize(ranges, enable_progress_report=False)
    with _in_place_of(path) as new:
        new.write_bytes(result.quantized_model)


def pick(images):
    """Return at most `IMAGES` of the images, evenly spread."""
    places = np.linspace(0, len(images) - 1, min(len(images), IMAGES))
    return [images[place] for place in np.unique(places.round().astype(int))]


@contextlib.contextmanager
def _in_place_of(path):
    """Give a place to write to, and move what is there over `path`.

    The old file may still be mapped to memory: it is never written to.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        yield Path(folder, path.name)
        for file in Path(folder).iterdir():
            os.replace(file, path.parent / file.name)


@contextlib.contextmanager
def _quiet(*loggers):
    """Keep notes and progress bars of libraries from the terminal."""
    found = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in found]
    for logger in found:
        logger.setLevel(logging.ERROR)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(found, levels, strict=True):
            logger.setLevel(level)
