"""The encoder of every architecture, whatever its layers are called."""

import keras
import pytest

from dca_keras.surgery import find_encoder
from dca_keras.zoo import create_model, list_models, unet_with

# How the names of what is no encoder begin.
OTHERS = {
    "double_unet": ("first_decoder", "first_out", "second", "vgg_dca", "head"),
    "multi_res_unet": ("path", "decoder", "dca", "head"),
    "resunet_plus_plus": ("dca", "decoder", "top", "head"),
    "swin_unet": ("dca", "decoder", "top", "head"),
    "unet_plus_plus": ("dca", "head"),
    "vnet": ("decoder", "dca", "head", "encoder_1_shortcut"),  # on a skip
}
SLOW = set(list_models()) - {"unet", "unet_plus_plus"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW))
        for name in list_models()
    ],
)
@pytest.mark.parametrize("dca", [False, True])
def test_the_encoder_of_every_architecture(name, dca):
    model = create_model(name, (64, 64, 3), dca=dca)
    encoder = find_encoder(model)
    names = {layer.name for layer in encoder}
    others = OTHERS.get(name, ("decoder", "dca", "head"))
    expected = {
        layer.name
        for layer in model.layers
        if layer.weights and not layer.name.startswith(others)
    }
    if name == "unet_plus_plus":  # node_LEVEL_0 is the encoder's.
        expected = {x for x in expected if x.split("_")[2] == "0"}
    assert names == expected


def test_the_encoder_of_a_backbone_is_all_of_it():
    backbone = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(64, 64, 3), alpha=0.35
    )
    own = {layer.name for layer in backbone.layers if layer.weights}
    model = unet_with(backbone, decoder_filters=(4, 4, 4, 4, 4))
    assert {layer.name for layer in find_encoder(model)} == own


def test_a_model_that_never_goes_up():
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Conv2D(1, 3, strides=2, name="down")(inputs)
    with pytest.raises(ValueError, match="must be an encoder-decoder"):
        find_encoder(keras.Model(inputs, outputs))
