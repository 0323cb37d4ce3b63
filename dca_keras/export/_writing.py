"""Files of a runtime's format: written, run, and put in place when right."""

import itertools
import os
import re
import tempfile
from pathlib import Path

import keras

from dca_keras.export._check import (
    Exported,
    check_backend,
    check_difference,
    check_images,
    largest_difference,
)
from dca_keras.export._folding import inference_model
from dca_keras.export._resizing import use_resizing


def write_file(
    model,
    path,
    suffix,
    load,
    any_size,
    images,
    options,
    *,
    bounded=True,
    quantize=None,
    choose=None,
    resizing=False,
):
    """Write a model in a runtime's format, and run it there.

    Args:
        model, path, any_size, images, choose: As in `openvino`.
        suffix: Of the file.
        load: Function from a path to a function of images.
        options: Arguments of `keras.Model.export`.
        bounded: Whether a difference of more than 1e-3 is an error.
        quantize: Function of the file's path that yields names and paths of
            files in 8 bits, each in a folder of its own below; or `None`.
        resizing: Whether the runtime upsamples by an operation of its own.

    Returns:
        An `Exported`.
    """
    check_backend()
    path = Path(path)
    if path.suffix != suffix:
        path = path.with_name(path.name + suffix)
    exported = inference_model(model, any_size=any_size)
    if resizing:
        use_resizing(exported)
    checked = check_images(model, images)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        written = Path(folder, path.name)
        try:
            _export(exported, written, options)
            found = {"float32": written}
            if quantize is not None:
                count = 1 if choose is None else None  # Others are not seen.
                found = dict(itertools.islice(quantize(written), count))
            runs = {name: load(str(file)) for name, file in found.items()}
            differences = {
                name: largest_difference(model, run, checked)
                for name, run in runs.items()
            }
        except Exception as error:  # Converters and runtimes raise anything.
            raise ValueError(
                f"{model.name} can't be exported as {suffix[1:]}"
                f"{' with `any_size`' * any_size}: {_explain(error)}"
            ) from error
        chosen = next(iter(runs)) if choose is None else choose(runs)
        written, difference = found[chosen], differences[chosen]
        if bounded:
            check_difference(difference, f"{suffix} file")
        # Files that it refers to (OpenVINO's .bin) come first.
        files = [f for f in written.parent.iterdir() if f.is_file()]
        files.sort(key=lambda file: file == written)
        size = sum(file.stat().st_size for file in files)
        for file in files:
            os.replace(file, path.parent / file.name)
    return Exported(path, difference, len(checked), images is None, size)


def _export(model, path, options):
    shape = (None, *model.input_shape[1:])
    spec = keras.InputSpec(dtype="float32", shape=shape, name="images")
    model.export(str(path), verbose=False, input_signature=[spec], **options)


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
