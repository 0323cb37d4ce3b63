import functools

import keras
import numpy as np
import pytest
from keras import ops

from dca_keras.losses import DiceCrossEntropy, DiceLoss

GRIDS = [(6, 4), (4, 2, 6)]


def dice_by_hand(y_true, y_pred, per_image, smooth, include_background):
    """The published formula in float64, one loop a level: value a sample."""
    y_true = y_true.reshape(y_pred.shape[:-1])
    count, channels = len(y_pred), y_pred.shape[-1]
    first = 0 if include_background or channels == 1 else 1
    groups = [[i] for i in range(count)] if per_image else [list(range(count))]
    losses = np.empty(count)
    for group in groups:
        by_class = []
        for c in range(first, channels):
            p = y_pred[group][..., c].astype("float64")
            t = y_true[group] == (1 if channels == 1 else c)
            score = 2 * (p * t).sum() + smooth
            by_class.append(1 - score / (p.sum() + t.sum() + smooth))
        losses[group] = np.mean(by_class)
    return losses


def sample(channels, grid=(6, 4), batch=3, seed=0):
    """Random masks (batch, *grid, 1) and logits (batch, *grid, channels)."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, max(channels, 2), (batch, *grid, 1))
    logits = rng.normal(size=(batch, *grid, channels)).astype("float32")
    return y_true, logits


def probabilities(logits):
    if logits.shape[-1] == 1:
        return 1 / (1 + np.exp(-logits))
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def gradient(function, x):
    """d sum(function) / dx on whichever backend runs."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(function(x))
        return tape.gradient(value, x).numpy()
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: function(x).sum())(x))
    x = ops.convert_to_tensor(x).requires_grad_()
    function(x).sum().backward()
    return x.grad.cpu().numpy()


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("include_background", [False, True])
def test_formula(grid, channels, per_image, smooth, include_background):
    y_true, logits = sample(channels, grid)
    options = {
        "per_image": per_image,
        "smooth": smooth,
        "include_background": include_background,
    }
    expected = dice_by_hand(y_true, probabilities(logits), **options)
    for from_logits, y_pred in [(True, logits), (False, probabilities(logits))]:
        loss = DiceLoss(from_logits, reduction=None, **options)
        values = loss(y_true, y_pred)
        assert values.shape == (3,)  # one a sample, pooled or not
        np.testing.assert_allclose(values, expected, rtol=1e-5)
        np.testing.assert_allclose(
            DiceLoss(from_logits, **options)(y_true, y_pred),
            expected.mean(),
            rtol=1e-5,
        )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
@pytest.mark.parametrize("channel_axis", [True, False])
def test_masks_of_any_dtype_and_layout(channels, dtype, channel_axis):
    y_true, logits = sample(channels)
    y_true = y_true.clip(max=1).astype(dtype)
    expected = dice_by_hand(y_true, probabilities(logits), True, 1.0, True)
    y_true = y_true if channel_axis else y_true[..., 0]
    loss = DiceLoss(from_logits=True, per_image=True)
    for mask in (y_true, ops.convert_to_tensor(y_true)):
        values = loss.call(mask, ops.convert_to_tensor(logits))
        np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "smooth, predicted, expected",
    [
        (0.0, 0.0, 0.0),  # neither: right by definition
        (0.0, 1e-25, 0.0),  # what a saturated sigmoid leaves
        (0.0, 0.1, 1.0),
        (1.0, 0.0, 0.0),
        (1.0, 0.1, 1 - 1 / 1.4),
    ],
)
@pytest.mark.parametrize("per_image", [False, True])
def test_empty_masks(smooth, predicted, expected, per_image):
    loss = DiceLoss(per_image=per_image, smooth=smooth, reduction=None)
    y_true = np.zeros((1, 2, 2, 1))
    y_pred = np.full((1, 2, 2, 1), predicted, "float32")
    np.testing.assert_allclose(loss(y_true, y_pred), [expected], atol=1e-6)
    slope = gradient(lambda x: loss(y_true, x), y_pred)
    assert np.isfinite(slope).all()
    assert (slope > 0).all() if smooth else (slope == 0).all()


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_pooled_gradient_is_that_of_one_scalar(smooth):
    y_true, logits = sample(1)
    p = probabilities(logits)
    union = p.sum() + y_true.sum() + smooth
    score = 2 * (p * y_true).sum() + smooth
    expected = (score - 2 * y_true * union) / union**2
    loss = DiceLoss(smooth=smooth)
    slope = gradient(lambda x: loss(y_true, x), p)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("channels", [1, 2])
def test_half_precision_sums_in_float32(dtype, channels):
    shape = (1, 400, 400, channels)  # sums of 80,000 and more
    y_pred = ops.full(shape, 0.5, dtype=dtype)
    y_true = ops.ones((1, 400, 400, 1), dtype=dtype)
    values = DiceLoss(include_background=False).call(y_true, y_pred)
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    np.testing.assert_allclose(values, [1 / 3], rtol=1e-4)
    loss = DiceLoss(include_background=False, dtype=dtype)(y_true, y_pred)
    np.testing.assert_allclose(ops.cast(loss, "float32"), 1 / 3, rtol=1e-2)


def test_config_round_trip():
    config = {
        "from_logits": True,
        "per_image": True,
        "smooth": 0.5,
        "include_background": False,
        "reduction": "sum",
        "name": "overlap",
        "dtype": "float64",
    }
    loss = DiceLoss(**config)
    assert loss.get_config() == config
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is DiceLoss
    assert copy.get_config() == config


def test_compiled_model_trains_and_loads_back(tmp_path):
    y_true, _ = sample(1)
    images = y_true + 0.1
    inputs = keras.Input((None, None, 1))
    outputs = keras.layers.Conv2D(1, 1)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", DiceLoss(from_logits=True, smooth=0.5))
    history = model.fit(images, y_true, epochs=3, verbose=0).history["loss"]
    assert history[2] < history[1] < history[0]
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert copy.loss.get_config() == model.loss.get_config()
    np.testing.assert_allclose(
        copy.evaluate(images, y_true[..., 0], verbose=0),
        model.evaluate(images, y_true, verbose=0),
        rtol=1e-6,
    )


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.function"
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("channel_axis", [True, False])
def test_graph_with_unknown_sizes(channels, per_image, channel_axis):
    import tensorflow as tf

    y_true, logits = sample(channels)
    y_true = y_true if channel_axis else y_true[..., 0]
    loss = DiceLoss(from_logits=True, per_image=per_image)
    graph = tf.function(
        loss,
        input_signature=[
            tf.TensorSpec([None] * y_true.ndim, "int64"),
            tf.TensorSpec([None, None, None, channels], "float32"),
        ],
    )
    np.testing.assert_allclose(
        graph(y_true, logits), loss(y_true, logits), rtol=1e-6
    )


LOSSES = [DiceLoss, DiceCrossEntropy]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("foreground", [2, 255, 65535, True])
def test_any_nonzero_is_foreground(loss, foreground):
    y_true, logits = sample(1)
    mask = y_true * np.array(foreground)
    np.testing.assert_array_equal(
        loss(from_logits=True)(mask, logits),
        loss(from_logits=True)(y_true, logits),
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
def test_one_hot_masks(loss, dtype):
    y_true, logits = sample(3)
    one_hot = np.eye(3)[y_true[..., 0]].astype(dtype)
    loss = loss(from_logits=True)
    np.testing.assert_array_equal(loss(one_hot, logits), loss(y_true, logits))


WRONG_MASKS = [
    (3, lambda mask: mask + 1, "from 0 to 2 .*3 channels. .*1, 2, 3"),
    (3, lambda mask: mask - 1, "values -1, 0, 1"),
    (3, lambda mask: mask / 2, "values 0, 0.5, 1. .*nearest"),
    (3, lambda mask: np.eye(3)[mask[..., 0]] * [0, 1, 1], "one channel set"),
    (3, lambda mask: np.eye(3)[mask[..., 0]] / 2 + 0.5, "0.5, 1"),
    (1, lambda mask: mask * 0.3, "foreground, .*1 channels. .*values 0, 0.3"),
    (1, lambda mask: -mask, "values -1, 0"),
    (1, lambda mask: np.where(mask, np.nan, 0), "values 0, nan|values nan"),
]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("channels, change, message", WRONG_MASKS)
def test_wrong_masks(loss, channels, change, message):
    y_true, logits = sample(channels)
    with pytest.raises(ValueError, match=f"`y_true` must hold .*{message}"):
        loss()(change(y_true), logits)


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="always eager, always raises"
)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("channels, change, message", WRONG_MASKS)
@pytest.mark.parametrize("per_image", [False, True])
def test_wrong_masks_in_a_graph(loss, channels, change, message, per_image):
    y_true, logits = sample(channels)
    wrong = change(y_true).astype("float32")
    mixed = wrong.copy()
    if wrong.shape == y_true.shape:
        mixed[0] = y_true[0]
    for compiled in compile_loss(loss, per_image):
        values = np.asarray(compiled(mixed, logits))
        right = per_image and wrong.shape == y_true.shape
        assert np.isnan(values[1:] if right else values).all()
        assert np.isfinite(values[:1]).all() == right


@functools.cache
def compile_loss(loss, per_image):
    """A loss, compiled in every way that the backend has."""
    loss = loss(from_logits=True, per_image=per_image, reduction=None)
    if keras.backend.backend() == "jax":
        import jax

        return [jax.jit(loss)]
    import tensorflow as tf

    return [tf.function(loss, jit_compile=xla) for xla in (False, True)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("from_logits", [False, True])
def test_compound(channels, per_image, from_logits):
    y_true, logits = sample(channels, GRIDS[1])
    y_pred = logits if from_logits else probabilities(logits)
    options = {
        "from_logits": from_logits,
        "per_image": per_image,
        "smooth": 1e-5,
        "include_background": False,
    }
    loss = DiceCrossEntropy(
        dice_weight=0.5, cross_entropy_weight=2.0, **options
    )
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits)
    if channels == 1:
        entropy = keras.losses.BinaryCrossentropy(from_logits)
    expected = [
        0.5 * float(DiceLoss(**options)(y_true[part], y_pred[part]))
        + 2.0 * float(entropy(y_true[part], y_pred[part]))
        for part in (
            [slice(i, i + 1) for i in range(3)] if per_image else [slice(0, 3)]
        )
    ]
    np.testing.assert_allclose(
        loss(y_true, y_pred), np.mean(expected), rtol=1e-5
    )
    values = loss.call(ops.convert_to_tensor(y_true), y_pred)
    assert values.shape == (3,)
    np.testing.assert_allclose(values, np.resize(expected, 3), rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("from_logits", [False, True])
def test_compound_where_predictions_are_extreme(channels, from_logits):
    y_true, _ = sample(channels)
    y_true[0, 0] = 0
    y_pred = np.zeros((3, 6, 4, channels), "float32")
    y_pred[..., -1] = 500.0 if from_logits else 1.0
    loss = DiceCrossEntropy(from_logits)
    assert np.isfinite(loss(y_true, y_pred))
    slope = gradient(lambda x: loss(y_true, x), y_pred)
    assert np.isfinite(slope).all()
    if from_logits:  # exact: wrong pixels pull as hard as they can
        assert (slope[0, 0, ..., -1] > 0).all()


@pytest.mark.parametrize(
    "loss",
    [
        DiceLoss(True),
        DiceLoss(True, include_background=False, smooth=0.5),
        DiceCrossEntropy(True),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_shares_add_up(loss, channels):
    y_true, logits = sample(channels, batch=5)
    assert loss.pooled
    shares = [
        loss.sums(y_true[part], logits[part])
        for part in (slice(0, 2), slice(2, 5))
    ]
    for sums in shares:
        assert {len(part) for part in sums} <= {2, 3}
    added = [
        sum(ops.sum(part, axis=0) for part in parts)
        for parts in zip(*shares, strict=True)
    ]
    value = loss.from_sums(added)
    assert value.shape == ()
    np.testing.assert_allclose(value, loss(y_true, logits), rtol=1e-6)


def test_compound_config_round_trip():
    config = {
        "from_logits": True,
        "dice_weight": 0.5,
        "cross_entropy_weight": 2.0,
        "per_image": True,
        "smooth": 0.5,
        "include_background": False,
        "reduction": "sum",
        "name": "both",
        "dtype": "float64",
    }
    loss = DiceCrossEntropy(**config)
    assert loss.get_config() == config
    assert not loss.pooled
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is DiceCrossEntropy
    assert copy.get_config() == config


@pytest.mark.parametrize("weights", [(-1, 1), (0, 0), (1, float("nan"))])
def test_bad_weights(weights):
    with pytest.raises(ValueError, match="`dice_weight` and .* Received"):
        DiceCrossEntropy(False, *weights)


@pytest.mark.parametrize(
    "true_shape, pred_shape, message",
    [
        ((2, 4, 4, 2), (2, 4, 4, 3), r"or be one-hot.* or \(2, 4, 4, 3\)"),
        ((2, 4, 5, 1), (2, 4, 4, 3), r"Expected: \(2, 4, 4, 1\)"),
        ((2, 5, 4), (2, 4, 4, 1), r"\(2, 4, 4\) or"),
        ((1, 4, 4), (2, 4, 4, 1), "`y_true` must .* grid of `y_pred`"),
        ((2, 4), (2, 4, 4, 1), r"Received: \(2, 4\)"),
        ((2, 4, 4, 4, 1), (2, 4, 4, 1), r"Received: \(2, 4, 4, 4, 1\)"),
        ((2,), (2, 3), r"`y_pred` must .* Received: \(2, 3\)"),
    ],
)
def test_bad_shapes(true_shape, pred_shape, message):
    with pytest.raises(ValueError, match=message):
        DiceLoss()(np.zeros(true_shape), np.zeros(pred_shape))


@pytest.mark.parametrize("smooth", [-1.0, float("nan")])
def test_bad_smooth(smooth):
    with pytest.raises(ValueError, match="`smooth` must be zero or positive"):
        DiceLoss(smooth=smooth)
