"""The layers that transformers and pretrained backbones need."""

import keras
import numpy as np
import pytest
from keras import ops

from dca_keras.layers import (
    DepthToSpace,
    ImageScaling,
    PositionEmbedding,
    SelfAttention,
    SpaceToDepth,
    StandardizedConv2D,
)


def draw(*shape):
    return np.random.default_rng(5).random(shape, dtype="float32")


def numpy_of(x):
    return ops.convert_to_numpy(x)


def attend(layer, x):
    """The layer, pixel by pixel: who is in whose window, and the bias."""
    (kernel, bias), (out, out_bias) = (
        [numpy_of(w) for w in part.weights]
        for part in (layer.joint, layer.projection)
    )
    _, height, width, channels = x.shape
    places = np.stack(np.indices((height, width)), -1).reshape(-1, 2)
    joint = (x.reshape(-1, channels) @ kernel + bias).reshape(
        len(places), 3, layer.heads, -1
    )
    query, key, value = np.moveaxis(joint, (1, 2), (0, 1))
    scores = query @ np.swapaxes(key, 1, 2) / np.sqrt(query.shape[-1])
    if side := layer.window:
        moved = [
            side - side // 2 if layer.shifted and length > side else 0
            for length in (height, width)
        ]
        window = (places + moved) // side
        apart = (window[:, None] != window[None]).any(-1)
        step = (places[:, None] - places[None] + side - 1) @ (2 * side - 1, 1)
        table = numpy_of(layer.position_bias)
        scores = scores + table[:, np.where(apart, 0, step)]
        scores[:, apart] = -np.inf
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    merged = np.moveaxis(scores @ value, 0, 1).reshape(len(places), -1)
    return (merged @ out + out_bias).reshape(x.shape)


@pytest.mark.parametrize(
    ("sides", "window", "shifted"),
    [
        ((4, 6), None, False),
        ((6, 9), 3, False),
        ((6, 9), 3, True),
        ((5, 8), 3, True),  # windows that are cut off
        ((2, 7), 4, True),  # one side fits into a window
    ],
)
def test_self_attention(sides, window, shifted):
    layer = SelfAttention(2, window, shifted)
    x = draw(1, *sides, 8)
    np.testing.assert_allclose(numpy_of(layer(x)), attend(layer, x), atol=1e-5)
    again = SelfAttention.from_config(layer.get_config())
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    inputs = keras.Input((None, None, 8))  # and with sides unknown
    model = keras.Model(inputs, again(inputs))
    np.testing.assert_allclose(
        model.predict(x, verbose=0), numpy_of(layer(x)), atol=1e-5
    )


def test_self_attention_of_heads_that_do_not_divide():
    with pytest.raises(ValueError, match="`heads` must divide"):
        SelfAttention(3)(draw(1, 4, 4, 8))


def test_position_embedding():
    layer = PositionEmbedding((2, 3))
    layer.build((None, None, None, 4))
    vectors = draw(2, 3, 4)
    layer.set_weights([vectors])
    same = numpy_of(layer(np.zeros((1, 2, 3, 4), "float32")))[0]
    np.testing.assert_allclose(same, vectors, atol=1e-6)
    wide = numpy_of(layer(np.zeros((1, 2, 6, 4), "float32")))[0]
    np.testing.assert_allclose(wide[:, 0], vectors[:, 0], atol=1e-6)
    between = 0.75 * vectors[:, 0] + 0.25 * vectors[:, 1]
    np.testing.assert_allclose(wide[:, 1], between, atol=1e-6)


def test_space_to_depth_and_back():
    x = draw(2, 4, 6, 3)
    deep = numpy_of(SpaceToDepth(2)(x))
    assert deep.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(deep[:, 1, 2, 3:6], x[:, 2, 5])
    np.testing.assert_array_equal(numpy_of(DepthToSpace(2)(deep)), x)


def test_standardized_convolution():
    layer = StandardizedConv2D(4, 3, padding="same")
    x = draw(1, 6, 6, 2)
    y = numpy_of(layer(x))
    kernel, bias = layer.get_weights()
    flat = kernel.reshape(-1, 4)
    kernel = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    kernel = kernel.reshape(layer.kernel.shape)
    expected = ops.conv(x, kernel, padding="same", data_format="channels_last")
    np.testing.assert_allclose(y, numpy_of(expected) + bias, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "module"),
    [("tf", "xception"), ("torch", "densenet"), ("caffe", "resnet50")],
)
def test_image_scaling_is_what_keras_does(mode, module):
    x = draw(1, 4, 4, 3)
    preprocess = getattr(keras.applications, module).preprocess_input
    expected = preprocess(x * 255.0, data_format="channels_last")
    y = numpy_of(ImageScaling(mode)(x))
    np.testing.assert_allclose(y, numpy_of(expected), atol=1e-4)


def test_image_scaling_that_cannot_be():
    with pytest.raises(ValueError, match="`mode` must be one of 'bytes'"):
        ImageScaling("pytorch")
    with pytest.raises(ValueError, match="images of three channels"):
        ImageScaling("caffe")(draw(1, 4, 4, 1))
