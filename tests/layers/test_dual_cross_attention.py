"""The module against its equations, and what it promises about shapes."""

import json
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

from dca_keras.layers import DualCrossAttention
from tests import equations

ARRAYS = sorted(equations.ARRAYS.glob("*.npz"))


def numpy(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def load(path):
    with np.load(path) as file:
        groups = {"skip": [], "output": [], "weight": {}}
        for key in file.files:
            kind, _, name = key.partition("/")
            if kind == "weight":
                groups[kind][name] = file[key]
            elif kind in groups:
                groups[kind].append(file[key])
        options = json.loads(file["options"].tobytes())
    return groups["skip"], groups["weight"], groups["output"], options


def layer_with(weights, skips, options):
    layer = DualCrossAttention(name="dca", **options)
    layer.build([skip.shape for skip in skips])
    assert {v.path for v in layer.variables} == {f"dca/{k}" for k in weights}
    for variable in layer.variables:
        variable.assign(weights[variable.path.removeprefix("dca/")])
    return layer


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize("path", ARRAYS, ids=lambda path: path.stem)
def test_layer_computes_the_equations(path, fast):
    skips, weights, outputs, options = load(path)
    layer = layer_with(weights, skips, {**options, "fast": fast})
    for ours, expected in zip(numpy(layer(skips)), outputs, strict=True):
        np.testing.assert_allclose(
            ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max()
        )


@pytest.mark.parametrize("path", ARRAYS, ids=lambda path: path.stem)
def test_stored_arrays_are_those_of_the_equations(path):
    case = equations.CASES[pathlib.Path(path).stem]
    skips, weights, outputs = equations.make_case(**case)
    for stored, made in zip(load(path)[2], outputs, strict=True):
        np.testing.assert_allclose(stored, made, rtol=1e-5, atol=1e-6)


def random_skips(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype("float32") for s in shapes]


def test_sides_need_not_be_known():
    skips = random_skips((2, 16, 8, 4), (2, 8, 4, 8))
    fixed, free = (
        DualCrossAttention((4, 2), name="dca", dtype="float32")
        for _ in range(2)
    )
    expected = fixed(skips)
    inputs = [keras.Input((None, None, 4)), keras.Input((None, None, 8))]
    model = keras.Model(inputs, free(inputs))
    assert [o.shape for o in model.outputs] == [i.shape for i in inputs]
    free.set_weights(fixed.get_weights())
    for ours, other in zip(numpy(model(skips)), numpy(expected), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-6)


@pytest.mark.parametrize(
    ("switches", "kinds"),
    [
        ({}, ["channel", "spatial"]),
        ({"spatial_attention": False}, ["channel"]),
        ({"channel_attention": False}, ["spatial"]),
        ({"channel_attention": False, "spatial_attention": False}, []),
    ],
)
def test_attention_scores_on_request(switches, kinds):
    shapes = (2, 8, 16, 4), (2, 4, 8, 8)
    skips = random_skips(*shapes)
    options = {"blocks": 2, "channel_heads": 2, "spatial_heads": 4, **switches}
    layer, plain = (
        DualCrossAttention((2, 1), fast=fast, name="dca", **options)
        for fast in (True, False)
    )
    outputs, scores = layer(skips, return_attention_scores=True)
    assert [tuple(output.shape) for output in outputs] == list(shapes)
    assert [list(block) for block in scores] == [kinds, kinds]
    expected = {
        "channel": [(2, 2, 2, 6), (2, 2, 4, 6)],
        "spatial": [(2, 4, 32, 32), (2, 4, 32, 32)],
    }
    for block in scores:
        for kind, arrays in block.items():
            assert [tuple(a.shape) for a in arrays] == expected[kind]
            for array in numpy(arrays):
                np.testing.assert_allclose(array.sum(-1), 1, rtol=1e-5)
    plain.build(shapes)
    plain.set_weights(layer.get_weights())
    for ours, fast, other in zip(
        numpy(outputs), numpy(layer(skips)), numpy(plain(skips)), strict=True
    ):
        # Scores come from the equations as they are written.
        np.testing.assert_allclose(ours, other, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(ours, fast, rtol=1e-5, atol=1e-6)


def test_attention_scores_in_a_functional_model():
    inputs = [keras.Input((8, 8, 4)), keras.Input((4, 4, 8))]
    outputs, scores = DualCrossAttention((2, 1))(
        inputs, return_attention_scores=True
    )
    model = keras.Model(inputs, [*outputs, scores[0]["spatial"][0]])
    maps = model.predict(random_skips((3, 8, 8, 4), (3, 4, 4, 8)), verbose=0)
    assert maps[-1].shape == (3, 4, 16, 16)


def test_reads_back_what_it_saved(tmp_path):
    inputs = [keras.Input((8, 8, 4)), keras.Input((4, 4, 8))]
    layer = DualCrossAttention(
        (4, 2), 2, 2, 4, token_activation=True, name="attend"
    )
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_layer("attend").get_config() == layer.get_config()
    assert [v.path for v in again.variables] == [
        v.path for v in model.variables
    ]
    skips = random_skips((2, 8, 8, 4), (2, 4, 4, 8))
    for ours, other in zip(
        model.predict(skips, verbose=0),
        again.predict(skips, verbose=0),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize(
    ("options", "shapes", "message"),
    [
        ({}, (1, 8, 8, 4), "list of at least two skips"),
        ({"patch_sizes": (1,)}, [(1, 8, 8, 4)], "list of at least two skips"),
        (
            {"patch_sizes": (2, 1)},
            [(1, 8, 8, 4), (1, 4, 4, 4, 4)],
            "must all be",
        ),
        (
            {"patch_sizes": (4, 2, 1)},
            [(1, 8, 8, 4), (1, 4, 4, 4)],
            "one entry a skip",
        ),
        (
            {"patch_sizes": (4, 2)},
            [(1, 10, 8, 4), (1, 5, 4, 4)],
            "`patch_sizes` must divide",
        ),
        (
            {"patch_sizes": (4, 2)},
            [(1, 16, 16, 4), (1, 4, 4, 4)],
            "must be one token grid",
        ),
        (
            {"patch_sizes": (2, 1)},
            [(1, 8, 8, 4), (1, 4, 4, 6)],
            "`spatial_heads` must divide",
        ),
        (
            {"patch_sizes": (2, 1), "channel_heads": 3},
            [(1, 8, 8, 4), (1, 4, 4, 8)],
            "`channel_heads` must divide",
        ),
        (
            {"patch_sizes": (2, 1)},
            [(1, 8, 8, None), (1, 4, 4, 8)],
            "channels of every stage must be known",
        ),
    ],
)
def test_skips_that_do_not_fit(options, shapes, message):
    with pytest.raises(ValueError, match=message):
        DualCrossAttention(**options).build(shapes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_sizes": (4, 0)}, "`patch_sizes` must be positive integers"),
        ({"patch_sizes": ((4, 0),)}, "`patch_sizes` must be positive integers"),
        ({"blocks": 0}, "`blocks` must be a positive integer"),
        ({"spatial_heads": -4}, "`spatial_heads` must be a positive integer"),
        ({"channel_attention": None}, "`channel_attention` must be True or"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        DualCrossAttention(**options)


def test_patches_with_a_side_for_each_axis():
    """Doubled along one axis, pixels and patches give the outputs doubled."""
    rng = np.random.default_rng(0)
    skips = [rng.random((2, side, side, 8), dtype="float32") for side in (8, 4)]
    square = DualCrossAttention((4, 2))
    expected = numpy(square(skips))
    flat = DualCrossAttention(((4, 8), (2, 4)), fast=False)
    doubled = [np.repeat(skip, 2, axis=2) for skip in skips]
    flat.build([skip.shape for skip in doubled])
    flat.set_weights(square.get_weights())
    for once, twice in zip(expected, numpy(flat(doubled)), strict=True):
        assert twice.shape == (*once.shape[:2], 2 * once.shape[2], 8)
        np.testing.assert_allclose(twice[:, :, 0], once[:, :, 0], atol=1e-5)
        np.testing.assert_allclose(twice[:, :, -1], once[:, :, -1], atol=1e-5)
    fast = DualCrossAttention(flat.patch_sizes)
    fast.build([skip.shape for skip in doubled])
    fast.set_weights(square.get_weights())
    for slow, quick in zip(
        numpy(flat(doubled)), numpy(fast(doubled)), strict=True
    ):
        np.testing.assert_allclose(quick, slow, atol=1e-5)
