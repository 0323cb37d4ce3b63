"""Prediction of a large image in windows, by engine and by checkout.

Run as a module, it is the program that predicts with one of them.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.race import keep_protocol, module_command, run_race
from dca_keras._environment import environment
from dca_keras._files import write_json, write_text

ENGINES = ("keras", "openvino", "openvino_int8")


def measure_prediction(
    run,
    image,
    output,
    engines=ENGINES,
    checkouts=(),
    rounds=3,
    progress=lambda label: None,
):
    """Writes `prediction.json` and `prediction.md`.

    A step is one call of `predict_files`, which loads the model, slides its
    window over the image and writes mask and overlay. Engines export the run
    before the first step.

    Args:
        run: The folder of a run.
        image: The path of an image.
        output: The folder to write to.
        engines: Of `dca_keras.export.ENGINES`.
        checkouts: Folders of other copies of this project, whose prediction
            with Keras is raced beside them, before all others.
        rounds, progress: As for `run_race`.

    Returns:
        A list of dictionaries, one a racer: "label", what `run_race` found,
        "ratio" (of its time to the first one's) and "same" (the share of the
        mask's pixels that are the first one's).
    """
    with tempfile.TemporaryDirectory() as folder:
        places = [("keras", str(path)) for path in checkouts]
        places += [(name, "") for name in engines]
        commands = {}
        for name, checkout in places:
            label = f"{name}, {checkout}" if checkout else name
            commands[label] = module_command(
                "benchmarks.prediction",
                *map(str, (run, image, Path(folder, str(len(commands))))),
                name,
                checkout=checkout or None,
            )
        results = run_race(commands, rounds, progress)
        masks = [_read_mask(folder, index) for index in range(len(commands))]
    first = next(iter(results.values()))["seconds"]
    rows = [
        {
            "label": label,
            "ratio": result["seconds"] / first,
            "same": float((mask == masks[0]).mean()),
            **result,
        }
        for (label, result), mask in zip(results.items(), masks, strict=True)
    ]
    record = {"environment": environment(), "rows": rows}
    write_json(Path(output) / "prediction.json", record)
    write_text(Path(output) / "prediction.md", _to_markdown(rows))
    return rows


def _read_mask(folder, index):
    (path,) = Path(folder, str(index)).glob("*_mask.*")
    return np.asarray(Image.open(path))


def _to_markdown(rows):
    lines = ["| what | s | ratio | peak GiB | same pixels |\n"]
    lines.append("| --- | ---: | ---: | ---: | ---: |\n")
    for row in rows:
        lines.append(
            f"| {Path(row['label']).name} | {row['seconds']:.1f} "
            f"| {row['ratio']:.2f} | {row['peak_memory'] / 2**30:.2f} "
            f"| {row['same']:.6f} |\n"
        )
    return "".join(lines)


def _take_steps(run, image, output, name):
    from dca_keras.prediction import predict_files

    options = {"window": True, "overwrite": True}
    if name != "keras":  # Earlier versions have no engines.
        from dca_keras.export import engine

        options["engine"] = engine(name)

    def step():
        done = predict_files(run, [image], output, **options)
        if done.broken:
            raise SystemExit(done.broken[0])

    step()
    keep_protocol(step)


if __name__ == "__main__":
    _take_steps(*sys.argv[1:])
