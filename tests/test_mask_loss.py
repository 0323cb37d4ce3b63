import json

import keras
import numpy as np
import pytest
from keras import ops

from dca_keras import _mask_loss, losses
from dca_keras.losses import DiceCrossEntropy, DiceLoss, MaskLoss


@keras.saving.register_keras_serializable(package="mine")
def mean_miss(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred))


@keras.saving.register_keras_serializable(package="mine")
class Miss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred), axis=(1, 2, 3))


# Name, config, and whether it is for one class, for several, or for both.
KERAS_LOSSES = [
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, (1, 3)),
    ("Tversky", {"axis": [1, 2, 3]}, (1, 3)),
    ("Tversky", {"axis": [0, 1, 2]}, (1, 3)),
    ("Dice", {}, (1, 3)),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, (1, 3)),
    ("BinaryFocalCrossentropy", {"gamma": 3.0}, (1, 3)),
    ("CategoricalFocalCrossentropy", {"alpha": 0.5}, (3,)),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, (3,)),
    ("SparseCategoricalCrossentropy", {}, (3,)),
    ("CategoricalGeneralizedCrossEntropy", {}, (3,)),
    ("MeanSquaredError", {"reduction": "sum"}, (1, 3)),
]
CASES = [
    (name, config, channels)
    for name, config, several in KERAS_LOSSES
    for channels in several
]


def sample(channels, batch=3):
    """Masks (batch, 4, 6, 1) and probabilities (batch, 4, 6, channels)."""
    rng = np.random.default_rng(0)
    masks = rng.integers(0, max(channels, 2), (batch, 4, 6, 1))
    y_pred = rng.random((batch, 4, 6, channels), dtype="float32")
    if channels > 1:
        y_pred /= y_pred.sum(axis=-1, keepdims=True)
    return masks, y_pred


@pytest.mark.parametrize("name, config, channels", CASES)
def test_keras_losses_as_they_are(name, config, channels):
    masks, y_pred = sample(channels)
    one_hot = np.eye(3)[masks[..., 0]].astype("float32")
    target = masks.astype("float32") if channels == 1 else one_hot
    if name in _mask_loss._SPARSE:
        target = masks[..., 0]
    axis = {key: tuple(config[key]) for key in config.keys() & {"axis"}}
    plain = getattr(keras.losses, name)(**{**config, **axis})
    expected = ops.convert_to_numpy(plain(target, y_pred))
    loss = losses.get(json.dumps({"class_name": name, "config": config}))
    layouts = [masks, masks[..., 0], masks.astype("uint8")]
    layouts += [masks * 255] if channels == 1 else [one_hot, one_hot * 255]
    for given in layouts:
        np.testing.assert_allclose(loss(given, y_pred), expected, rtol=1e-6)


@pytest.mark.parametrize("name, config, channels", CASES)
def test_serialized_losses_come_back(name, config, channels):
    loss = losses.get({"class_name": name, "config": config})
    text = json.dumps(keras.losses.serialize(loss))
    masks, y_pred = sample(channels)
    for copy in (keras.losses.deserialize(json.loads(text)), losses.get(text)):
        assert type(copy) is MaskLoss
        assert copy.get_config() == loss.get_config()
        assert (copy.name, copy.reduction) == (loss.name, loss.reduction)
        np.testing.assert_array_equal(copy(masks, y_pred), loss(masks, y_pred))


def test_one_value_a_sample_where_keras_has_one_for_all():
    masks, y_pred = sample(1)
    loss = losses.get("tversky")
    values = loss.call(ops.convert_to_tensor(masks), y_pred)
    assert values.shape == (3,)
    weighted = loss(masks, y_pred, sample_weight=np.array([3.0, 0.0, 0.0]))
    np.testing.assert_allclose(weighted, loss(masks, y_pred), rtol=1e-6)


@pytest.mark.parametrize(
    "identifier, kind",
    [
        ("DiceLoss", DiceLoss),
        ("dice_loss", DiceLoss),
        ("dca_keras>DiceLoss", DiceLoss),
        (DiceLoss, DiceLoss),
        (DiceLoss(per_image=True), DiceLoss),
        ("DiceCrossEntropy", DiceCrossEntropy),
        ("dice_cross_entropy", DiceCrossEntropy),
        ("Miss", Miss),
        ("mine>Miss", Miss),
        (Miss(), Miss),
        ("tversky", MaskLoss),
        ("Dice", MaskLoss),
        ("binary_crossentropy", MaskLoss),
        (keras.losses.BinaryCrossentropy(), MaskLoss),
        (keras.losses.dice, MaskLoss),
        ("mean_miss", MaskLoss),
        ("mine>mean_miss", MaskLoss),
        (mean_miss, MaskLoss),
    ],
)
def test_identifiers(identifier, kind):
    loss = losses.get(identifier)
    assert type(loss) is kind
    assert losses.get(loss) is loss
    copy = losses.get(keras.losses.serialize(loss))
    assert type(copy) is kind and copy.get_config() == loss.get_config()


def test_config_by_json():
    config = {"per_image": True, "smooth": 0.5}
    text = json.dumps({"class_name": "DiceLoss", "config": config})
    loss = losses.get(text)
    assert loss.per_image and loss.smooth == 0.5


def test_a_function_of_yours_gets_the_masks_as_they_are():
    masks, y_pred = sample(3)
    assert np.asarray(losses.get("mean_miss")(masks, y_pred)) == pytest.approx(
        np.abs(masks - y_pred).mean(), rel=1e-6
    )


def test_an_ignored_class_is_no_wrong_index():
    masks, y_pred = sample(3)
    masks[0, 0] = 255
    config = {"ignore_class": 255}
    name = "SparseCategoricalCrossentropy"
    loss = losses.get({"class_name": name, "config": config})
    plain = keras.losses.SparseCategoricalCrossentropy(**config)
    np.testing.assert_allclose(
        loss(masks, y_pred), plain(masks, y_pred), rtol=1e-6
    )


@pytest.mark.parametrize("name, config, channels", CASES)
def test_wrong_masks(name, config, channels):
    masks, y_pred = sample(channels)
    wrong = masks.astype("float32")
    wrong[1, 0, 0] = 3 if channels == 3 else 0.5
    loss = losses.get({"class_name": name, "config": config})
    with pytest.raises(ValueError, match="`y_true` must .*Received: values"):
        loss(wrong, y_pred)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        assert np.isnan(tf.function(loss)(wrong, y_pred))
        assert np.isfinite(tf.function(loss)(masks, y_pred))


@pytest.mark.parametrize(
    "identifier, message",
    [
        ("nope", "There are: (?!.*MaskLoss).*dca_keras>DiceLoss.*Tversky"),
        ("Loss", "There is no loss 'Loss'"),
        ("{nope", "name or JSON of a class .* Received: {nope. JSON says: "),
        ('{"config": {}}', "dictionary with `class_name`.*'config'"),
        (None, "Received: None"),
        ({"class_name": "Dice", "config": {"a": 1}}, "'Dice' can't .*{'a': 1}"),
        (
            {"class_name": "DiceLoss", "config": {"smooth": -1}},
            "`smooth` must be zero or positive",
        ),
    ],
)
def test_what_is_no_loss(identifier, message):
    with pytest.raises(ValueError, match=message):
        losses.get(identifier)


def test_several_classes_are_needed():
    masks, y_pred = sample(1)
    with pytest.raises(ValueError, match="a channel for every class.*binary"):
        losses.get("CategoricalFocalCrossentropy")(masks, y_pred)


def test_a_model_trains_and_loads_back(tmp_path):
    masks, images = sample(3)
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.Conv2D(3, 1, activation="softmax")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", losses.get("Tversky"))
    history = model.fit(images, masks, epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        copy.evaluate(images, masks, verbose=0),
        model.evaluate(images, masks, verbose=0),
        rtol=1e-6,
    )
