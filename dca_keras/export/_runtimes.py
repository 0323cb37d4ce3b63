"""Exported files in their own runtimes, as functions of images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dca_keras._extras import import_extra


class RuntimeModel:
    """A function of images with what prediction needs of a Keras model.

    Args:
        name: The model's name.
        run: Function from images to probabilities.
        input_shape: `(None, *sides, channels)`.
        output_shape: `(None, *sides, classes)`.
        side_multiple: What the sides of images must be multiples of, for the
            same layers at other sizes.
        identity: What tells its predictions from those of another file.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[np.ndarray], np.ndarray],
        input_shape: tuple[int | None, ...],
        output_shape: tuple[int | None, ...],
        side_multiple: int = 1,
        identity: str = "",
    ) -> None:
        self.name, self._run = name, run
        self.input_shape, self.output_shape = input_shape, output_shape
        self.side_multiple, self.identity = side_multiple, identity

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities, `(batch, *sides, classes)`, float32."""
        return self._run(np.ascontiguousarray(images, "float32"))


def load_onnx(
    path: str | Path, threads: int | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Load an ONNX file into ONNX Runtime.

    Args:
        path: The file.
        threads: Number of threads; `None` leaves it to the runtime.

    Returns:
        A function from images, `(batch, *sides, channels)`, float32 in
        [0, 1], to probabilities.

    Raises:
        ImportError: If the extra `onnx` is not installed.
    """
    runtime = import_extra("onnxruntime", extra="onnx", purpose="Running ONNX")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = runtime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def load_openvino(
    path: str | Path, threads: int | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Load an OpenVINO file, `.xml` with its `.bin`.

    It computes in float32. In a file with 8 bits, what has not been quantized
    is computed in bfloat16 where the processor has it.

    Args:
        path: The `.xml` file.
        threads: Number of threads; `None` leaves it to the runtime.

    Returns:
        A function from images, `(batch, *sides, channels)`, float32 in
        [0, 1], to probabilities.

    Raises:
        ImportError: If the extra `openvino` is not installed.
    """
    runtime = import_extra(
        "openvino", extra="openvino", purpose="Running OpenVINO"
    )
    core = runtime.Core()
    model = core.read_model(path)
    kinds = {node.get_type_name() for node in model.get_ops()}
    abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    short = "FakeQuantize" in kinds and "BF16" in abilities
    # Without a word, it would be bfloat16 for every file.
    options = {"INFERENCE_PRECISION_HINT": "bf16" if short else "f32"}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(model, "CPU", options)
    return lambda images: compiled(images)[0]


def load_litert(
    path: str | Path, threads: int | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Load a LiteRT file.

    Args:
        path: The `.tflite` file.
        threads: Number of threads; `None` leaves it to the runtime.

    Returns:
        A function from images, `(batch, *sides, channels)`, float32 in
        [0, 1], to probabilities.

    Raises:
        ImportError: If the extra `litert` is not installed.
    """
    runtime = import_extra(
        "ai_edge_litert.interpreter", extra="litert", purpose="Running LiteRT"
    )
    interpreter = runtime.Interpreter(str(path), num_threads=threads)
    given = interpreter.get_input_details()[0]["index"]
    wanted = interpreter.get_output_details()[0]["index"]
    shapes = []

    def run(images):
        if shapes != [images.shape]:
            interpreter.resize_tensor_input(given, images.shape)
            interpreter.allocate_tensors()
            shapes[:] = [images.shape]
        interpreter.set_tensor(given, images)
        interpreter.invoke()
        return interpreter.get_tensor(wanted)

    return run
