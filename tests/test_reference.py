"""Published weights give the published answers, and nothing else loads."""

import json
import pathlib
import pickle
import zlib

import keras
import numpy as np
import pytest
from keras import ops

from dca_keras import DCAConfig, zoo
from dca_keras.layers import DualCrossAttention
from dca_keras.losses import DiceLoss
from dca_keras.reference import load_reference_weights
from dca_keras.reference._names import RULES
from dca_keras.reference._slots import find_slots
from tests.conftest import SHARED

# Some of the published arrays are here; all of them lie beside some checkouts.
HERE = pathlib.Path(__file__).parent / "arrays" / "published"
MODELS = [
    f"{architecture}{attention}"
    for architecture in RULES
    for attention in ("", "_dca")
] + ["unet_dca_9class", "unet_dca_cca_only", "unet_dca_sca_only"]
MODULES = [
    f"dca_{case}"
    for case in (
        "default",
        "three_stages",
        "two_blocks",
        "heads",
        "cca_only",
        "sca_only",
    )
]
# The bound on the median difference of gradient norms. MultiResUNet's norms
# are not determined that well: in float64, moving its image by 1e-7 moves
# their median by 1.4e-3, and float64 is 4e-3 from the published float32.
TRAININGS = {
    "unet_train": 1e-3,
    "unet_dca_train": 1e-3,
    "vnet_dca_train": 1e-3,
    "multi_res_unet_dca_train": 1e-2,
}


def published_value(name, shape, seed):
    """The rule that the published arrays' trainable values follow."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if name.endswith("bias"):
        values = 0.05 * rng.standard_normal(shape)
    elif len(shape) > 1:
        fan_in = np.prod(shape[1:])
        values = rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)
    elif shape[0] > 1:
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.uniform(0.1, 0.4, shape)
    return values.astype("float32")


def here_or_slow(names):
    """Parameters; whole models whose arrays are elsewhere take long."""
    return [
        name
        if (HERE / f"{name}.npz").is_file()
        else pytest.param(name, marks=pytest.mark.slow)
        for name in names
    ]


def read_case(name):
    """A case's settings, its published state dict and its arrays."""
    path = HERE / f"{name}.npz"
    if not path.is_file():
        path = SHARED / "reference" / f"{name}.npz"
    if not path.is_file():
        pytest.skip("all published arrays are in shared/reference, not here")
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    case = json.loads(arrays.pop("meta").tobytes())
    state = {
        name: published_value(name, shape, case["seed"])
        for name, shape in case["parameters"]
    }
    state |= {
        key.removeprefix("stat/"): value
        for key, value in arrays.items()
        if key.startswith("stat/")
    }
    return case, state, arrays


def build_model(case):
    dca = case["dca"] and DCAConfig(
        channel_attention=case["channel_attention"],
        spatial_attention=case["spatial_attention"],
    )
    sides = (case["size"], case["size"])
    return zoo.create_model(
        case["architecture"],
        (*sides, case["channels"]),
        case["classes"],
        dca=dca,
        activation=None,
    )


def images(case):
    shape = (case["batch"], case["size"], case["size"], case["channels"])
    return np.random.default_rng([case["seed"], 1]).random(
        shape, dtype=np.float32
    )


@pytest.mark.parametrize("name", here_or_slow(MODELS))
def test_models_meet_the_published_logits(name):
    case, state, arrays = read_case(name)
    model = build_model(case)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == case["active_parameter_count"]
    load_reference_weights(model, state)
    logits = model.predict(images(case), verbose=0)
    expected = arrays["logits"]
    assert np.abs(logits - expected).max() <= 3e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", MODULES)
def test_module_meets_the_published_outputs(name):
    case, state, arrays = read_case(name)
    rng = np.random.default_rng([case["seed"], 1])
    skips = [
        rng.standard_normal(
            (case["batch"], *(case["patch"] * stride,) * 2, width),
            dtype=np.float32,
        )
        for stride, width in zip(case["strides"], case["features"], strict=True)
    ]
    layer = DualCrossAttention(
        case["strides"],
        blocks=case["blocks"],
        channel_heads=case["channel_heads"],
        spatial_heads=case["spatial_heads"],
        channel_attention=case["channel_attention"],
        spatial_attention=case["spatial_attention"],
    )
    layer.build([skip.shape for skip in skips])
    outputs = load_reference_weights(layer, state)(skips)
    for i, output in enumerate(outputs):
        expected = arrays[f"output{i}"]
        error = np.abs(ops.convert_to_numpy(output) - expected).max()
        assert error <= 1e-5 * np.abs(expected).max()


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="uses a TensorFlow tape"
)
@pytest.mark.parametrize("name", here_or_slow(TRAININGS))
def test_training_follows_the_published_steps(name):
    import tensorflow as tf

    case, state, arrays = read_case(name)
    model = load_reference_weights(build_model(case), state)
    shape = (case["batch"], case["size"], case["size"], 1)
    target = np.random.default_rng([case["seed"], 2]).random(shape) > 0.5
    x, loss = images(case), DiceLoss(from_logits=True)
    optimizer = keras.optimizers.Adam(1e-4, epsilon=1e-8)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(target, model(x, training=True))
        gradients = tape.gradient(
            value, [w.value for w in model.trainable_variables]
        )
        optimizer.apply(gradients, model.trainable_variables)
        return value, [tf.norm(gradient) for gradient in gradients]

    losses = []
    for i in range(5):
        value, norms = step()
        losses.append(float(value))
        if i == 0:
            first_norms = [float(norm) for norm in norms]
    error = np.abs(losses - arrays["losses"]) / arrays["losses"]
    assert (error <= [1e-5, 1e-3, 1e-2, 1e-2, 1e-2]).all(), error

    names = {slot.variable.path: slot.name for slot in find_slots(model)}
    ours = {
        names[w.path]: norm
        for w, norm in zip(model.trainable_variables, first_norms, strict=True)
    }
    published = dict(
        zip(arrays["grad_names"], arrays["grad_norms"], strict=True)
    )
    # A bias that a batch norm cancels has a gradient of rounding errors.
    floor = 1e-6 * max(published.values())
    errors = [
        abs(norm - published[weight]) / published[weight]
        for weight, norm in ours.items()
        if published[weight] > floor
    ]
    assert len(errors) > len(ours) / 2
    assert np.median(errors) <= TRAININGS[name]
    for slot in find_slots(model):
        if "running" in slot.name:
            after = arrays[f"stat_after/{slot.name}"]
            moved = ops.convert_to_numpy(slot.variable)
            # Adam's first steps go by the gradients' signs, so rounding moves
            # the statistics: in float64 the worst is 0.12 from the published.
            assert np.abs(moved - after).max() <= 0.2 * np.abs(after).max()


# === Strictness, on small models and made-up checkpoints ===


def small_model(architecture="unet", dca=True, **options):
    return zoo.create_model(
        architecture, (32, 32, 3), dca=dca, filters=(8,) * 5, **options
    )


def state_of(model):
    rng = np.random.default_rng(5)
    return {
        slot.name: rng.random(slot.shape).astype("float32")
        for slot in find_slots(model)
    }


def values_of(model):
    return [ops.convert_to_numpy(w).copy() for w in model.weights]


@pytest.mark.parametrize("dca", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_every_weight_has_one_published_place(name, dca, tmp_path):
    model = small_model(name, dca, name="any_name")
    state = state_of(model)
    assert len(state) == len(model.weights)
    load_reference_weights(model, state)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    load_reference_weights(again, state)
    for ours, other in zip(values_of(model), values_of(again), strict=True):
        np.testing.assert_array_equal(ours, other)


def test_a_model_that_was_trained_takes_them_too():
    model = small_model(dca=False)
    model.compile("adam", DiceLoss(), metrics=["accuracy"])
    model.evaluate(
        np.zeros((1, 32, 32, 3)), np.zeros((1, 32, 32, 1)), verbose=0
    )
    state = state_of(model)
    load_reference_weights(model, state)
    assert_holds(model, state)


BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


@pytest.mark.parametrize(
    ("name", "dca", "extras"),
    [
        (
            "unet",
            True,
            {
                "DCA.attention.0.s_attention.0.k_map.proj.depthwise.bias": 32,
                "norm1.num_batches_tracked": (),
            },
        ),
        (
            "vnet",
            False,
            {
                "conv1.conv_skip.weight": (8, 3, 1, 1),
                "conv1.conv_skip.bias": 8,
            },
        ),
        (
            "multi_res_unet",
            True,
            {
                f"respath{i}.bns.{4 - i}.{kind}": 8
                for i in (1, 2, 3, 4)
                for kind in BATCH_NORM
            },
        ),
    ],
)
def test_inactive_tensors_are_known_by_name(name, dca, extras):
    model = small_model(name, dca)
    state = state_of(model)
    full = state | {key: np.ones(size) for key, size in extras.items()}
    load_reference_weights(model, full)
    for key in extras:
        with pytest.raises(ValueError, match=f"Misshapen: {key}"):
            load_reference_weights(model, full | {key: np.ones((7, 7))})
    with pytest.raises(ValueError, match=f"Unexpected: .*{next(iter(extras))}"):
        load_reference_weights(small_model("r2_unet", False), full)


def test_aliases_are_accepted_when_equal():
    model = small_model("resunet_plus_plus")
    state = state_of(model)
    aliases = {}
    for i, part in enumerate(("encoder", "decoder", "attn"), 1):
        for kind in BATCH_NORM:
            name = f"attn2.conv_{part}.0.{kind}"
            aliases[f"attn2.norm{i}.{kind}"] = state[name]
    load_reference_weights(model, state | aliases)
    broken = aliases | {"attn2.norm1.bias": aliases["attn2.norm1.bias"] + 1}
    with pytest.raises(ValueError, match="Unequal.*attn2.norm1.bias"):
        load_reference_weights(model, state | broken)


def test_an_error_names_everything_and_changes_nothing():
    model = small_model()
    before, state = values_of(model), state_of(model)
    del state["conv1.conv1.conv.weight"], state["norm2.bias"]
    state["conv9.weight"] = np.ones(3)
    state["out.conv.bias"] = np.ones(2)
    with pytest.raises(ValueError) as error:
        load_reference_weights(model, state)
    message = str(error.value)
    assert "Missing: conv1.conv1.conv.weight, norm2.bias." in message
    assert "Unexpected: conv9.weight." in message
    assert "Misshapen: out.conv.bias (2,) instead of (1,)." in message
    for value, weight in zip(before, values_of(model), strict=True):
        np.testing.assert_array_equal(value, weight)


@pytest.mark.parametrize(
    "model",
    [
        lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]),
        lambda: keras.layers.Dense(2),
        lambda: DualCrossAttention(),
        lambda: small_model(dca=DCAConfig(token_activation=True)),
    ],
    ids=["foreign", "layer", "unbuilt", "option"],
)
def test_models_without_published_weights(model):
    with pytest.raises(ValueError, match="`model` must be"):
        load_reference_weights(model(), {})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": "text"}, "must be an array. Received for 'a'"),
        ({"model_state_dict": [1]}, "must be a mapping"),
        ("weights.npz", "must end in .safetensors, .pth or .pt"),
        ("nowhere.pth", "no checkpoint 'nowhere.pth'"),
    ],
)
def test_what_is_no_checkpoint(state, message):
    with pytest.raises(ValueError, match=message):
        load_reference_weights(small_model(), state)


# === Files ===


def test_reads_safetensors(tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    model = small_model()
    state = state_of(model)
    save_file(state, tmp_path / "model.safetensors")
    load_reference_weights(model, tmp_path / "model.safetensors")
    assert_holds(model, state)


@pytest.mark.parametrize("name", ["best.pth", "best.pt"])
def test_reads_what_the_published_trainer_saves(tmp_path, name):
    torch = pytest.importorskip("torch")
    model = small_model()
    state = state_of(model)
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    checkpoint = {
        "epoch": 3,
        "model_state_dict": tensors,
        "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 1e-4}]},
    }
    torch.save(checkpoint, tmp_path / name)
    load_reference_weights(model, str(tmp_path / name))
    assert_holds(model, state)


def assert_holds(model, state):
    for slot in find_slots(model):
        expected = slot.convert(state[slot.name])
        ours = ops.convert_to_numpy(slot.variable)
        np.testing.assert_array_equal(ours, expected)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.path),)


def test_a_hostile_pickle_runs_nothing(tmp_path):
    torch = pytest.importorskip("torch")
    trace = tmp_path / "it_ran"
    torch.save(
        {"model_state_dict": {"a": Hostile(str(trace))}}, tmp_path / "bad.pth"
    )
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Hostile(str(trace))))
    model = small_model()
    before = values_of(model)
    for name in ("bad.pth", "plain.pt"):
        with pytest.raises(ValueError, match="Could not read the checkpoint"):
            load_reference_weights(model, tmp_path / name)
    assert not trace.exists()
    for value, weight in zip(before, values_of(model), strict=True):
        np.testing.assert_array_equal(value, weight)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("a.pth", "torch", "dca-keras[torch]"),
        ("a.safetensors", "safetensors.numpy", "dca-keras[safetensors]"),
    ],
)
def test_a_missing_package_is_asked_for_by_its_extra(
    tmp_path, monkeypatch, name, module, extra
):
    if keras.backend.backend() == module:
        pytest.skip("the backend itself")
    (tmp_path / name).write_bytes(b"0")
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError) as error:
        load_reference_weights(small_model(), tmp_path / name)
    assert extra in str(error.value)
