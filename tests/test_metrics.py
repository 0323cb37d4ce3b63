import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from dca_keras.metrics import DiceScore, IoU

METRICS = [DiceScore, IoU]


def score_by_hand(metric, y_true, chosen, classes, per_image=True, smooth=1.0):
    """The score a sample of predicted class indices, by counting pixels."""
    count = len(chosen)
    y_true = y_true.reshape(chosen.shape)
    groups = [[i] for i in range(count)] if per_image else [list(range(count))]
    scores = np.empty(count)
    for group in groups:
        by_class = []
        for c in classes:
            p, t = chosen[group] == c, y_true[group] == c
            both, either = (p & t).sum(), (p | t).sum()
            if metric is IoU:
                by_class.append((both + smooth) / (either + smooth))
            else:
                size = p.sum() + t.sum()
                by_class.append((2 * both + smooth) / (size + smooth))
        scores[group] = np.mean(by_class)
    return scores


def sample(channels, grid=(6, 4), batch=3, seed=0):
    """Random masks (batch, *grid, 1) and logits (batch, *grid, channels)."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, max(channels, 2), (batch, *grid, 1))
    logits = rng.normal(size=(batch, *grid, channels)).astype("float32")
    return y_true, logits


def result(metric, y_true, y_pred, **kwargs):
    metric.update_state(y_true, y_pred, **kwargs)
    return ops.convert_to_numpy(metric.result())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("grid", [(6, 4), (4, 2, 6)])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("include_background", [False, True])
@pytest.mark.parametrize("from_logits", [False, True])
def test_many_classes(
    metric, grid, channels, per_image, smooth, include_background, from_logits
):
    y_true, logits = sample(channels, grid)
    expected = score_by_hand(
        metric,
        y_true,
        logits.argmax(axis=-1),
        range(0 if include_background else 1, channels),
        per_image,
        smooth,
    )
    y_pred = logits if from_logits else ops.softmax(logits)
    score = metric(from_logits, per_image, smooth, include_background)
    np.testing.assert_allclose(
        result(score, y_true, y_pred), expected.mean(), rtol=1e-6
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("include_background", [False, True])
@pytest.mark.parametrize("threshold", [0.3, 0.5])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
def test_one_class(metric, per_image, include_background, threshold, dtype):
    y_true, logits = sample(1)
    y_pred = 1 / (1 + np.exp(-logits))
    chosen = (y_pred[..., 0] > threshold).astype(int)
    expected = score_by_hand(metric, y_true, chosen, [1], per_image).mean()
    options = {
        "per_image": per_image,
        "include_background": include_background,
        "threshold": threshold,
    }
    for mask in (y_true, y_true[..., 0]):
        mask = mask.astype(dtype)
        score = result(metric(**options), mask, y_pred)
        np.testing.assert_allclose(score, expected, rtol=1e-6)
        score = result(metric(from_logits=True, **options), mask, logits)
        np.testing.assert_allclose(score, expected, rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_the_threshold_itself_is_negative(metric):
    half = np.full((1, 2, 2, 1), 0.5)
    assert result(metric(), np.zeros((1, 2, 2, 1)), half) == 1.0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("predicted, found", [(0.0, False), (1.0, True)])
def test_empty_masks(metric, smooth, predicted, found):
    score = metric(smooth=smooth)
    y_pred = np.full((1, 2, 2, 1), predicted)
    expected = smooth / (4 + smooth) if found else 1.0
    # As float32: NumPy 1 compares with a wider number as such.
    expected = np.float32(expected)
    assert result(score, np.zeros((1, 2, 2, 1)), y_pred) == expected


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("per_image", [False, True])
def test_uneven_batches_and_reset(metric, per_image):
    y_true, logits = sample(3, batch=7)
    chosen = logits.argmax(axis=-1)
    score = metric(per_image=per_image)
    for _ in range(2):
        expected = []
        for part in (slice(0, 4), slice(4, 6), slice(6, 7)):
            score.update_state(y_true[part], logits[part])
            expected.extend(
                score_by_hand(
                    metric, y_true[part], chosen[part], range(3), per_image
                )
            )
        np.testing.assert_allclose(score.result(), np.mean(expected), rtol=1e-6)
        score.reset_state()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("weights", [[1.0, 0.0, 3.0], [[1.0], [0.0], [3.0]]])
def test_sample_weight_is_one_an_image(metric, weights):
    y_true, logits = sample(3)
    scores = score_by_hand(metric, y_true, logits.argmax(axis=-1), range(3))
    np.testing.assert_allclose(
        result(metric(per_image=True), y_true, logits, sample_weight=weights),
        (scores[0] + 3 * scores[2]) / 4,
        rtol=1e-6,
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_counts_in_float32(metric, dtype):
    y_true = np.ones((1, 400, 400, 1))  # 160,000 pixels, all but 400 found
    y_pred = np.ones((1, 400, 400, 1))
    y_pred[:, 0] = 0
    expected = score_by_hand(metric, y_true, y_pred[..., 0], [1])
    score = result(metric(), y_true, ops.cast(y_pred, dtype))
    np.testing.assert_allclose(score, expected[0], rtol=1e-6)


@pytest.mark.parametrize("metric, name", [(DiceScore, "dice"), (IoU, "iou")])
def test_config_round_trip(metric, name):
    assert metric().name == name
    config = {
        "from_logits": True,
        "per_image": True,
        "smooth": 0.5,
        "include_background": False,
        "threshold": 0.4,
        "name": "overlap",
        "dtype": "float32",
    }
    score = metric(**config)
    assert score.get_config() == config
    copy = keras.metrics.deserialize(keras.metrics.serialize(score))
    assert type(copy) is metric
    assert copy.get_config() == config


def test_compiled_model_loads_back(tmp_path):
    y_true, logits = sample(3)
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.Softmax()(inputs)
    model = keras.Model(inputs, outputs)
    scores = [DiceScore(per_image=True), IoU(include_background=False)]
    model.compile(metrics=scores, loss="sparse_categorical_crossentropy")
    values = model.evaluate(
        logits, y_true, batch_size=2, verbose=0, return_dict=True
    )
    chosen = logits.argmax(axis=-1)
    dice = score_by_hand(DiceScore, y_true, chosen, range(3)).mean()
    np.testing.assert_allclose(values["dice"], dice, rtol=1e-6)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert values == copy.evaluate(
        logits, y_true, batch_size=2, verbose=0, return_dict=True
    )


def test_early_stopping_knows_that_more_is_better():
    y_true, logits = sample(1)
    conv = keras.layers.Conv2D(1, 1)
    model = keras.Sequential([keras.Input((6, 4, 1)), conv])
    model.compile(loss="mse", metrics=[DiceScore(), IoU()])
    stops = [keras.callbacks.EarlyStopping(m) for m in ("dice", "iou")]
    model.fit(logits, y_true, callbacks=stops, verbose=0)
    assert [stop.monitor_op for stop in stops] == [ops.greater] * 2


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "config, message",
    [
        ({"smooth": -1.0}, "`smooth` must be zero or positive"),
        ({"threshold": 0.0}, "`threshold` must .* Received: 0.0"),
        ({"threshold": 1.0}, "`threshold` must .* Received: 1.0"),
        ({"threshold": -2.0}, "`from_logits=True`"),
    ],
)
def test_bad_arguments(metric, config, message):
    with pytest.raises(ValueError, match=message):
        metric(**config)


@pytest.mark.parametrize("metric", METRICS)
def test_bad_shapes(metric):
    with pytest.raises(ValueError, match="`y_true` must hold class indices"):
        metric().update_state(np.zeros((2, 4, 4, 2)), np.zeros((2, 4, 4, 3)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("foreground", [255, True])
def test_any_nonzero_is_foreground(metric, foreground):
    y_true, logits = sample(1)
    expected = result(metric(from_logits=True), y_true, logits)
    mask = y_true * np.array(foreground)
    assert result(metric(from_logits=True), mask, logits) == expected


@pytest.mark.parametrize("metric", METRICS)
def test_one_hot_masks(metric):
    y_true, logits = sample(3)
    one_hot = np.eye(3, dtype="uint8")[y_true[..., 0]]
    expected = result(metric(), y_true, logits)
    assert result(metric(), one_hot, logits) == expected


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("channels, wrong", [(3, 3), (3, -1), (1, 0.5)])
def test_wrong_masks(metric, channels, wrong):
    y_true, logits = sample(channels)
    y_true = y_true.astype("float32")
    y_true[1, 0, 0] = wrong
    with pytest.raises(ValueError, match="`y_true` must .*Received: values"):
        metric().update_state(y_true, logits)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.function"
)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("channels, wrong", [(3, 3), (3, -1), (1, 0.5)])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("xla", [False, True])
def test_wrong_masks_in_a_graph(metric, channels, wrong, per_image, xla):
    import tensorflow as tf

    y_true, logits = sample(channels)
    y_true = y_true.astype("float32")
    y_true[1, 0, 0] = wrong
    score = metric(per_image=per_image)
    tf.function(score.update_state, jit_compile=xla)(y_true, logits)
    assert np.isnan(score.result())


@pytest.mark.parametrize("metric", METRICS)
def test_shares_add_up(metric):
    y_true, logits = sample(3, batch=5)
    score = metric(include_background=False)
    assert score.pooled and not metric(per_image=True).pooled
    shares = [
        score.sums(y_true[part], logits[part])
        for part in (slice(0, 2), slice(2, 5))
    ]
    added = [
        sum(ops.sum(part, axis=0) for part in parts)
        for parts in zip(*shares, strict=True)
    ]
    value = score.from_sums(added)
    assert value.shape == ()
    np.testing.assert_allclose(value, result(score, y_true, logits), rtol=1e-6)


# A process of its own: logical devices exist only before TensorFlow starts.
TRAIN_ON_ONE_AND_ON_TWO = """
import contextlib, json
import keras, numpy as np, tensorflow as tf
from dca_keras.losses import DiceLoss
from dca_keras.metrics import DiceScore, IoU

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
rng = np.random.default_rng(0)
images = rng.random((11, 8, 8, 3), dtype="float32")
masks = rng.integers(0, 3, (11, 8, 8, 1))

def train(scope):
    with scope:
        keras.utils.set_random_seed(0)
        conv = keras.layers.Conv2D(3, 3, padding="same")
        model = keras.Sequential([keras.Input((8, 8, 3)), conv])
        options = {"from_logits": True, "per_image": True}
        scores = [DiceScore(**options), IoU(**options)]
        sgd = keras.optimizers.SGD(1.0)
        model.compile(sgd, DiceLoss(**options), metrics=scores)
    even = images[:8], masks[:8]
    history = model.fit(*even, batch_size=4, epochs=3, verbose=0).history
    # Uneven: replicas get 2 + 2, 2 + 2 and 2 + 1 images.
    scores = model.evaluate(images, masks, 4, verbose=0, return_dict=True)
    weights = [w.ravel().tolist() for w in model.get_weights()]
    scores.pop("loss")  # Keras weighs replicas, not images
    return {"weights": sum(weights, []), **scores, **{
        f"train_{name}": values for name, values in history.items()
    }}

runs = [train(contextlib.nullcontext()), train(strategy.scope())]
print(json.dumps([strategy.num_replicas_in_sync, *runs]))
"""


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.distribute"
)
def test_two_replicas_train_and_score_as_one_device():
    run = subprocess.run(
        [sys.executable, "-c", TRAIN_ON_ONE_AND_ON_TWO],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert run.returncode == 0, run.stderr
    replicas, one, two = json.loads(run.stdout.splitlines()[-1])
    assert replicas == 2
    assert one["train_loss"][-1] < one["train_loss"][0]
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-5)
