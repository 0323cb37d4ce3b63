"""Where an OpenVINO model's time goes, beside what the machine can do.

Arithmetic is counted from the file. The machine's rate is that of large
convolutions and products of matrices in the same runtime and format.
"""

import statistics
import tempfile
from pathlib import Path

import keras
import numpy as np

from benchmarks.formats import SIDE, export_formats
from dca_keras import zoo
from dca_keras._environment import environment
from dca_keras._files import write_json, write_text

REPEATS = 9
FORMATS = ("openvino", "openvino_int8")
# By the types of the runtime's operations.
KINDS = {
    "Convolution": "convolutions",
    "Deconvolution": "convolutions",
    "MatMul": "products",
    "FullyConnected": "products",
}
REST = "the rest"


def measure_profile(output, models=("double_unet",), progress=lambda _: None):
    """Writes `profile.json` and `profile.md`.

    With random weights, one 224x224 image, on one thread, plain and with DCA.

    Args:
        output: The folder to write to.
        models: Names of `dca_keras.zoo.list_models()`.
        progress: Called with a label of what comes next.

    Returns:
        A list of dictionaries, one a model, format and kind of operations:
        "model", "format", "kind", "seconds", "flops", and "least", the seconds
        at the machine's rate; for what is neither a convolution nor a product
        that is the time itself.
    """
    rows = []
    for format in FORMATS:
        large = _profile(_large_operations(), format, progress)
        for name in models:
            for dca in (False, True):
                model = zoo.create_model(name, (SIDE, SIDE, 3), dca=dca)
                found = _profile(model, format, progress)
                rows += [
                    {
                        "model": model.name,
                        "format": format,
                        "kind": kind,
                        **row,
                        "least": _least(row, large.get(kind)),
                    }
                    for kind, row in found.items()
                ]
    record = {"environment": environment(), "threads": 1, "rows": rows}
    write_json(Path(output) / "profile.json", record)
    write_text(Path(output) / "profile.md", to_markdown(rows))
    return rows


def _least(row, large):
    if not row["flops"]:
        return row["seconds"]
    return row["flops"] * large["seconds"] / large["flops"]


def _large_operations():
    """A model whose convolutions and products run at the machine's rate."""
    image = keras.Input((SIDE // 4, SIDE // 4, 256))
    x = keras.layers.Conv2D(256, 3, padding="same")(image)
    x = keras.layers.Conv2D(256, 3, padding="same")(x)
    tokens = keras.layers.Reshape((-1, 256))(x)
    x = keras.ops.matmul(tokens, keras.ops.transpose(tokens, (0, 2, 1)))
    x = keras.ops.sigmoid(keras.ops.matmul(x, tokens))
    return keras.Model(image, x, name="large_operations")


def _profile(model, format, progress):
    """Return "seconds" and "flops" of an image by kind of operations."""
    import openvino

    progress(f"{model.name}, {format}")
    with tempfile.TemporaryDirectory() as folder:
        done = export_formats(model, Path(folder), [format])[format]
        core = openvino.Core()
        graph = core.read_model(done.path)
        shape = (1, *model.input_shape[1:])
        graph.reshape(shape)
        precision = "bf16" if format.endswith("_int8") else "f32"
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": 1,
            "PERF_COUNT": True,
        }
        compiled = core.compile_model(graph, "CPU", options)
        request = compiled.create_infer_request()
        image = np.random.default_rng(0).random(shape, "float32")
        request.infer([image])
        times = [_times(request, image) for _ in range(REPEATS)]
    flops = _flops(graph)
    return {
        kind: {
            "seconds": statistics.median(each[kind] for each in times),
            "flops": flops.get(kind, 0),
        }
        for kind in times[0]
    }


def _times(request, image):
    request.infer([image])
    found = {}
    for operation in request.profiling_info:
        kind = KINDS.get(operation.node_type, REST)
        seconds = operation.real_time.total_seconds()
        found[kind] = found.get(kind, 0) + seconds
    return found


def _flops(graph):
    """Count multiplications and additions, by kind."""
    found = {}
    for node in graph.get_ops():
        kind = node.get_type_name()
        if kind == "MatMul":
            left = list(node.input(0).get_shape())
            inner = left[-2 if node.get_attributes()["transpose_a"] else -1]
            count = np.prod(list(node.output(0).get_shape())) * inner
            name = "products"
        elif "Convolution" in kind:
            weights = list(node.input(1).get_shape())
            back = "Backprop" in kind
            places = node.input(0) if back else node.output(0)
            # (groups,) out, in, *sides; backwards, in and out change places.
            used = weights[2:] if "Group" in kind else weights[1:]
            count = np.prod(list(places.get_shape())) * np.prod(used)
            name = "convolutions"
        else:
            continue
        found[name] = found.get(name, 0) + 2 * int(count)
    return found


def to_markdown(rows):
    lines = [
        "| model, format | kind | ms | GFLOP | GFLOP/s "
        "| ms at the machine's rate |\n",
        "|---|---|---:|---:|---:|---:|\n",
    ]
    for row in rows:
        rate = row["flops"] / row["seconds"] / 1e9
        cells = [
            f"{row['model']}, {row['format']}",
            row["kind"],
            f"{row['seconds'] * 1e3:.1f}",
            *(f"{x:.1f}" if x else "-" for x in (row["flops"] / 1e9, rate)),
            f"{row['least'] * 1e3:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)
