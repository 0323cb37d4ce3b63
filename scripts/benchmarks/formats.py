"""What a model is exported to: size, time and difference of each format.

Run as a module, it is the program that takes the steps of one format.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.race import module_command, run_race
from dca_keras import zoo
from dca_keras._environment import environment
from dca_keras._files import write_json, write_text

MODELS = ("unet", "double_unet")
THREADS = 2
SIDE = 224
_LOADERS = {
    "onnx": "load_onnx",
    "openvino": "load_openvino",
    "litert": "load_litert",
    "litert_int8": "load_litert",
}
_ENVIRONMENT = {
    "TF_NUM_INTRAOP_THREADS": str(THREADS),
    "TF_NUM_INTEROP_THREADS": "1",
}
_LINE = "| {} | {:.1f} | {:.1f} | {:.2f} | {:.1e} |\n"


def measure_formats(output, rounds=15, progress=lambda label: None):
    """Writes `formats.json` and `formats.md`: every format of two models.

    U-Net and DoubleU-Net, plain and with DCA, with random weights, one
    224x224 image a step, on two threads.

    Args:
        output: The folder to write to.
        rounds: Steps that count, of each format.
        progress: As for `run_race`.

    Returns:
        A list of dictionaries, one a model and format: "model", "format",
        "megabytes", "difference" (the largest from the model's
        probabilities, on drawn images), "ratio" (of its time to that of the
        plain model in the same format) and what `run_race` found.
    """
    rows = []
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            written = {
                (dca, format): done
                for dca in (False, True)
                for format, done in _export(
                    zoo.create_model(name, (SIDE, SIDE, 3), dca=dca),
                    Path(folder) / str(dca),
                    progress,
                ).items()
            }
            commands = {
                f"{name}{'_dca' * dca}, {format}": _command(format, done)
                for (dca, format), done in written.items()
            }
            results = run_race(commands, rounds, progress)
        for label, done in zip(commands, written.values(), strict=True):
            model, format = label.split(", ")
            plain = results[f"{name}, {format}"]
            rows.append(
                {
                    "model": model,
                    "format": format,
                    "megabytes": done.size / 1e6,
                    "difference": done.difference,
                    "ratio": results[label]["seconds"] / plain["seconds"],
                    **results[label],
                }
            )
    record = {"environment": environment(), "threads": THREADS, "rows": rows}
    write_json(Path(output) / "formats.json", record)
    write_text(Path(output) / "formats.md", _to_markdown(rows))
    return rows


def _command(format, done):
    return module_command(
        "benchmarks.formats", format, str(done.path), **_ENVIRONMENT
    )


def _export(model, folder, progress):
    from dca_keras import export

    written = {}
    for format in export.FORMATS:
        progress(f"{model.name}, {format}")
        write = getattr(export, format.removesuffix("_int8"))
        options = {"int8": True} if format == "litert_int8" else {}
        written[format] = write(model, folder / format, **options)
    return written


def _to_markdown(rows):
    lines = ["| model, format | MB | ms | of plain | largest difference |\n"]
    lines.append("| --- | ---: | ---: | ---: | ---: |\n")
    for row in rows:
        numbers = (
            row["megabytes"],
            row["seconds"] * 1e3,
            row["ratio"],
            row["difference"],
        )
        label = f"{row['model']}, {row['format']}"
        lines.append(_LINE.format(label, *numbers))
    return "".join(lines)


def _load(format, path):
    """A function of images that runs the format."""
    from dca_keras import export

    if format == "saved_model":  # Its threads are set by the environment.
        return export.load_saved_model(path).predict_on_batch
    return getattr(export, _LOADERS[format])(path, threads=THREADS)


def _take_steps(format, path):
    run = _load(format, path)
    images = np.random.default_rng(0).random((1, SIDE, SIDE, 3), "float32")
    run(images)
    _say("ready")
    for _ in sys.stdin:
        start = time.perf_counter()
        run(images)
        _say(time.perf_counter() - start)


def _say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _take_steps(*sys.argv[1:])
