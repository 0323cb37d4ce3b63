"""What a model is exported to: size, time and difference of each format.

Run as a module, it is the program that takes the steps of one format.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.race import keep_protocol, module_command, run_race
from dca_keras import zoo
from dca_keras._environment import environment
from dca_keras._files import write_json, write_text

MODELS = ("unet", "double_unet")
THREADS = 2
SIDE = 224
VOLUME = (48, 64, 48)  # With few filters, as a 3-D model has on a CPU.
FILTERS = (8, 16, 32, 64)
CALIBRATION = 8  # Drawn images.
_ENVIRONMENT = {
    "TF_NUM_INTRAOP_THREADS": str(THREADS),
    "TF_NUM_INTEROP_THREADS": "1",
}
_LINE = "| {} | {:.1f} | {:.1f} | {} | {} | {:.1e} |\n"


def measure_formats(
    output,
    rounds=15,
    progress=lambda label: None,
    *,
    models=MODELS,
    formats=None,
    attention=(False, True),
    volume=False,
    name="formats",
):
    """Writes `formats.json` and `formats.md`: what models are exported to.

    With random weights, one 224x224 image a step, on two threads. All
    formats of a model run in one race, plain and with DCA.

    Args:
        output: The folder to write to.
        rounds: Steps that count, of each format.
        progress: As for `run_race`.
        models: Names of `dca_keras.zoo.list_models()`.
        formats: Of `dca_keras.export.FORMATS`; `None` is all of them.
        attention: Whether with DCA; by default both.
        volume: Whether to take the 3-D model, of few filters, and a volume.
        name: Of the files.

    Returns:
        A list of dictionaries, one a model and format: "model", "format",
        "megabytes", "difference" (the largest from the model's
        probabilities, on drawn images), "ratio" (of its time to that of the
        plain model in the same format), "of_float32" (to that of the same
        model in the same runtime) and what `run_race` found.
    """
    rows, file = [], name
    shape = (*VOLUME, 1) if volume else (SIDE, SIDE, 3)
    options = {"filters": FILTERS} if volume else {}
    for name in models:
        with tempfile.TemporaryDirectory() as folder:
            written = {
                (dca, format): done
                for dca in attention
                for format, done in export_formats(
                    zoo.create_model(name, shape, dca=dca, **options),
                    Path(folder) / str(dca),
                    formats,
                    progress,
                ).items()
            }
            commands = {
                f"{name}{'_dca' * dca}, {format}": _command(format, done, shape)
                for (dca, format), done in written.items()
            }
            results = run_race(commands, rounds, progress)
        for label, done in zip(commands, written.values(), strict=True):
            model, format = label.split(", ")
            plain = results.get(f"{name}, {format}")
            whole = results.get(f"{model}, {format.partition('_')[0]}")
            rows.append(
                {
                    "model": model,
                    "format": format,
                    "megabytes": done.size / 1e6,
                    "difference": done.difference,
                    "ratio": _ratio(results[label], plain),
                    "of_float32": _ratio(results[label], whole)
                    if format.endswith(("_int8", "_dynamic"))
                    else None,
                    **results[label],
                }
            )
    record = {"environment": environment(), "threads": THREADS, "rows": rows}
    write_json(Path(output) / f"{file}.json", record)
    write_text(Path(output) / f"{file}.md", _to_markdown(rows))
    return rows


def _ratio(result, other):
    return other and result["seconds"] / other["seconds"]


def _command(format, done, shape):
    return module_command(
        "benchmarks.formats",
        format,
        str(done.path),
        *map(str, shape),
        **_ENVIRONMENT,
    )


def export_formats(model, folder, formats=None, progress=lambda label: None):
    """Write a model in formats, `None` for all, with drawn calibration images.

    Returns:
        A dictionary of the formats' `Exported`.
    """
    from dca_keras import export

    written = {}
    for format in formats or export.FORMATS:
        progress(f"{model.name}, {format}")
        kind, _, bits = format.partition("_")
        options = {}
        if bits == "dynamic":
            options["int8"] = True
        elif bits == "int8":
            shape = CALIBRATION, *model.input_shape[1:]
            images = np.random.default_rng(1).random(shape, "float32")
            options["calibration"] = images
        write = export.saved_model if kind == "saved" else getattr(export, kind)
        written[format] = write(model, folder / format, **options)
    return written


def _to_markdown(rows):
    lines = [
        "| model, format | MB | ms | of plain | of float32 "
        "| largest difference |\n",
        "| --- | ---: | ---: | ---: | ---: | ---: |\n",
    ]
    for row in rows:
        numbers = (
            row["megabytes"],
            row["seconds"] * 1e3,
            *(
                f"{row[k]:.2f}" if row[k] else "-"
                for k in ("ratio", "of_float32")
            ),
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
    load = getattr(export, f"load_{format.partition('_')[0]}")
    return load(path, threads=THREADS)


def _take_steps(format, path, *shape):
    run = _load(format, path)
    shape = 1, *map(int, shape)
    images = np.random.default_rng(0).random(shape, "float32")
    run(images)
    keep_protocol(lambda: run(images))


if __name__ == "__main__":
    _take_steps(*sys.argv[1:])
