"""What `insert_dca` does with one model."""

import collections
import re
import textwrap

import keras
import numpy as np
from keras import ops

from dca_keras import find_skips, insert_dca

FINE = "yes"
TOLERANCE = 1e-5  # Of the largest output.


def examine(model, folder):
    """Put DCA into a model at a harmless start, and look at the result.

    Args:
        model: A functional `keras.Model`.
        folder: A `Path`, for the files that are written.

    Returns:
        A dictionary: "skips", the name and shape of each. Of a model that was
        refused, "refused", the error. Of others "difference", the largest
        between the two models' outputs; "shared", how many variables they
        share; "trained", "saved" and "exported", each "yes" or what is wrong;
        and "errors", the errors behind them.
    """
    row = {"skips": [[x.layer, list(x.shape[1:])] for x in find_skips(model)]}
    try:
        new = insert_dca(model, start="identity")
    except ValueError as error:
        return {**row, "refused": str(error)}
    x, errors = inputs_of(model, batch=1), {}
    old = {id(variable) for variable in model.variables}
    row["difference"] = difference(outputs_of(new, x), outputs_of(model, x))
    row["shared"] = sum(id(variable) in old for variable in new.variables)
    # DCA acts, and all of it learns, once its gates are open.
    for weight in new.get_layer("dca").weights:
        if weight.name == "gate":
            weight.assign(ops.ones(weight.shape))
    row["saved"] = _outcome(errors, "saved", _save, new, folder, x)
    if "saved" in errors:
        weights = _outcome({}, "", _save_weights, new, folder, x, model)
        row["saved"] = "weights only" if weights == FINE else "no"
    row["exported"] = _outcome(errors, "exported", _export, new, folder, x)
    if row["exported"] != FINE:
        before = _outcome({}, "", _export, model, folder / "before", x)
        row["exported"] += ", as before" if before != FINE else ""
    row["trained"] = _train(new, model, x)
    return {**row, "errors": errors}


def inputs_of(model, batch=2, side=32):
    """Return random values of the model's input shapes."""
    rng = np.random.default_rng(3)
    return keras.tree.map_structure(
        lambda x: rng.random(
            (batch, *(size or side for size in x.shape[1:])), dtype="float32"
        ),
        model.input,
    )


def outputs_of(model, inputs):
    """Return what the model makes of them, as a list of arrays."""
    outputs = model(inputs, training=False)
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(outputs)]


def difference(ys, expected):
    """Return the largest difference between two lists of arrays."""
    return max(
        float(np.abs(np.asarray(y) - x).max())
        for y, x in zip(ys, expected, strict=True)
    )


def _outcome(errors, key, write, model, folder, x, *more):
    """Return "yes" or what is wrong with what is read back."""
    try:
        ys = write(model, folder, x, *more)
    except Exception as error:
        errors[key] = first_line(error)
        return "no"
    expected = outputs_of(model, x)
    change = difference(ys, expected)
    largest = max(float(np.abs(y).max()) for y in expected) or 1.0
    fine = change <= TOLERANCE * largest
    return FINE if fine else f"differs by {change / largest:.1e}"


def _save(model, folder, x):
    model.save(folder / "model.keras")
    # Some of their layers are not registered.
    layers = model._flatten_layers()
    kinds = {type(layer).__name__: type(layer) for layer in layers}
    loaded = keras.saving.load_model(folder / "model.keras", kinds)
    return outputs_of(loaded, x)


def _save_weights(model, folder, x, original):
    model.save_weights(folder / "model.weights.h5")
    again = insert_dca(original, start="identity")
    again.load_weights(folder / "model.weights.h5")
    return outputs_of(again, x)


def _export(model, folder, x):
    import tensorflow as tf

    model.export(folder / "saved", verbose=False)
    loaded = tf.saved_model.load(str(folder / "saved"))
    return keras.tree.flatten(loaded.serve(x))


def _train(new, model, x):
    """Return "yes" or which weights have no gradient that should have one."""
    lost = [
        path
        for path, gradient in gradients(new, x).items()
        if gradient is None
        or not np.isfinite(gradient).all()
        or path.startswith("dca/")
        and not path.endswith("bias")
        and not np.asarray(gradient).any()
    ]
    if lost:
        without = [p for p, g in gradients(model, x).items() if g is None]
        before = collections.Counter(map(_unnumbered, without))
        now = collections.Counter(map(_unnumbered, lost))
        lost = sorted((now - before).elements())
    return f"no gradient at {', '.join(lost)}" if lost else FINE


def _unnumbered(path):
    """Return a weight's path without the numbers that Keras counts up."""
    return re.sub(r"_\d+(?=/)", "", path)


def gradients(model, x):
    """Return the gradient of each trainable weight, by its path."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    weights = model.trainable_weights
    with tf.GradientTape() as tape:
        ys = keras.tree.flatten(model(x, training=True))
        loss = sum(
            tf.reduce_mean((y - rng.random(y.shape, dtype="float32")) ** 2)
            for y in ys
        )
    found = tape.gradient(loss, [w.value for w in weights])
    found = [g if g is None else tf.convert_to_tensor(g) for g in found]
    return {w.path: g for w, g in zip(weights, found, strict=True)}


def first_line(error):
    """Return an error's kind and how its message begins."""
    line, *_ = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {textwrap.shorten(line, 100)}"
