"""Convolutions in 8 bits, with scales that calibration images give.

All else stays in floating point. Attention's products and softmax lose most
by 8 bits, and OpenVINO's CPU plug-in can't run some of what they become.
"""

import contextlib
import io
import logging
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
    """Write OpenVINO files whose convolutions have 8 bits.

    The scales of activations are fitted in two ways. "average" spans the
    extremes in an image, averaged over the images; "histogram" makes the error
    of all values least. Which one is better depends on the weights: where a
    few values lie far beyond all others, it is the first.

    Args:
        path: The `.xml` file in floating point, with its weights beside it.
        images: `(batch, *sides, channels)`, float32, as the model sees them.

    Yields:
        The name of a way, and the path of its file, in a folder of its own
        beside `path`.
    """
    import nncf
    import openvino
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    images = pick(images)
    for name, parameters in {
        "average": None,
        "histogram": nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=(
                RangeEstimatorParametersSet.HISTOGRAM
            )
        ),
    }.items():
        model = openvino.Core().read_model(path)
        kinds = {node.get_type_name() for node in model.get_ops()}
        rest = sorted(kinds.difference(_OPENVINO))
        with _quiet("nncf"):
            quantized = nncf.quantize(
                model,
                nncf.Dataset([image[None] for image in images]),
                subset_size=len(images),
                ignored_scope=nncf.IgnoredScope(types=rest, validate=False),
                advanced_parameters=parameters,
            )
        new = _new_file(path, name)
        openvino.save_model(quantized, new, compress_to_fp16=False)
        yield name, new


def quantize_litert(path, images):
    """Write LiteRT files whose convolutions have 8 bits.

    As `quantize_openvino`, but the second way spans the extremes over all
    images ("widest").

    Args:
        path: The `.tflite` file in floating point.
        images: As in `quantize_openvino`.

    Yields:
        As `quantize_openvino`.
    """
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import qtyping, quantizer

    signatures = Interpreter(str(path)).get_signature_list()
    ((signature, names),) = signatures.items()
    samples = [{names["inputs"][0]: image[None]} for image in pick(images)]
    job = quantizer.Quantizer(str(path))
    for kind in _LITERT:
        kind = qtyping.TFLOperationName(kind)
        job.add_static_config(".*", kind, 8, 8)
    for name, parts in {
        "average": [samples],
        "widest": [[sample] for sample in samples],
    }.items():
        with _quiet():
            ranges = [job.calibrate({signature: part}) for part in parts]
            result = job.quantize(_unite(ranges), enable_progress_report=False)
        new = _new_file(path, name)
        new.write_bytes(result.quantized_model)
        yield name, new


def _unite(results):
    """Return the extremes of all tensors over the results of calibrations."""
    united = {}
    for tensors in results:
        for name, found in tensors.items():
            known = united.setdefault(name, found)
            united[name] = known | {
                "min": np.minimum(known["min"], found["min"]),
                "max": np.maximum(known["max"], found["max"]),
            }
    return united


def pick(images):
    """Return at most `IMAGES` of the images, evenly spread."""
    places = np.linspace(0, len(images) - 1, min(len(images), IMAGES))
    return [images[place] for place in np.unique(places.round().astype(int))]


def _new_file(path, name):
    folder = Path(path).parent / name
    folder.mkdir()
    return folder / Path(path).name


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
