"""Skips are found by the graph, whatever the layers are called."""

import keras
import pytest
from keras import layers

from dca_keras import find_skips, zoo
from tests.surgery import models
from tests.zoo import check_model as check

OURS = {
    "unet": [f"encoder_{i}_2_conv" for i in (1, 2, 3, 4)],
    "vnet": [f"encoder_{i}_out_prelu" for i in (1, 2, 3, 4)],
    "r2_unet": [f"encoder_{i}_out_relu" for i in (1, 2, 3, 4)],
    "resunet_plus_plus": ["stem_add", "encoder_1_add", "encoder_2_add"],
    "double_unet": [f"second_encoder_{i}_2_conv" for i in (1, 2, 3, 4)],
    "multi_res_unet": [f"encoder_{i}_relu" for i in (1, 2, 3, 4)],
}


def names(model):
    return [skip.layer for skip in find_skips(model)]


@pytest.mark.parametrize("sides", [(16, 32), (None, None), (16, 16, 32)])
@pytest.mark.parametrize("name", OURS)
def test_our_plain_models(name, sides):
    model = check.small(getattr(zoo, name), sides, dca=False)
    skips = find_skips(model)
    assert [skip.layer for skip in skips] == OURS[name]
    steps = [2**i for i in range(len(skips))]
    assert [skip.stride for skip in skips] == [
        (step,) * len(sides) for step in steps
    ]
    for skip in skips:
        assert skip.tensor is model.get_layer(skip.layer).output
        assert skip.shape == skip.tensor.shape


def test_where_they_rejoin():
    model = check.small(zoo.resunet_plus_plus, dca=False)
    assert [set(skip.joins) for skip in find_skips(model)] == [
        {"decoder_1_gate_add", "decoder_1_concat"},
        {"decoder_2_gate_add", "decoder_2_concat"},
        {"decoder_3_concat"},
    ]


def test_they_print_as_a_table():
    model = zoo.unet((32, 64, 1), filters=(4, 8, 16), dca=False)
    assert str(find_skips(model)) == (
        "2 skips of 'unet'\n"
        "layer             shape              stride  rejoins at\n"
        "encoder_1_2_conv  (None, 32, 64, 4)  1x1     decoder_1_concat\n"
        "encoder_2_2_conv  (None, 16, 32, 8)  2x2     decoder_2_concat"
    )


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("sides", [(32, 32), (None, None), (16, 16, 16)])
def test_inner_connections_are_not_among_them(add, sides):
    model = models.residual_unet(sides, add=add)
    assert names(model) == ["stage_0", "stage_1"]


def test_attention_gates():
    skips = find_skips(models.attention_unet())
    assert [s.layer for s in skips] == ["down_0", "down_1", "down_2"]
    assert all(f"gate_{i}" in skip.joins for i, skip in enumerate(skips))


def test_nested_decoder():
    skips = find_skips(models.unet_plus_plus())
    assert [skip.layer for skip in skips] == ["x_0_0", "x_1_0", "x_2_0"]


def test_models_in_the_model():
    assert names(models.pretrained_unet()) == [
        "down/block_1_expand_relu",
        "down/block_3_expand_relu",
        "down/block_6_expand_relu",
        "down/block_13_expand_relu",
    ]
    inner = models.attention_unet((None, None))
    inputs = keras.Input((64, 64, 1))
    model = keras.Sequential([inputs, layers.Rescaling(1 / 255), inner])
    inside = f"{inner.name}/down_"
    assert names(model) == [f"{inside}{i}" for i in range(3)]


def test_cropped_skips():
    assert names(models.valid_unet()) == ["down_0", "down_1"]


def test_what_several_tensors_of_the_encoder_come_to():
    assert names(models.two_images()) == ["pair_0", "pair_1", "pair_2"]


def test_models_without_skips():
    skips = find_skips(models.keras_io_unet())
    assert len(skips) == 0
    assert str(skips).startswith("No skips found in")
    classifier = keras.applications.MobileNetV2(
        (32, 32, 3), weights=None, classes=2, alpha=0.35
    )
    assert not find_skips(classifier)


class Subclassed(keras.Model):
    def call(self, x):
        return x


def channels_first():
    x = inputs = keras.Input((1, 32, 32))
    x = layers.Conv2D(4, 3, data_format="channels_first", name="first")(x)
    return keras.Model(inputs, x)


def signals():
    inputs = keras.Input((32, 1))
    return keras.Model(inputs, layers.Conv1D(4, 3)(inputs))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Subclassed, "`model` must be a functional .* Subclassed"),
        (channels_first, "Layer 'first' has data_format='channels_first'"),
        (signals, "must have an input .* shapes: .*None, 32, 1"),
        (lambda: keras.Sequential([layers.Conv2D(1, 1)]), "functional"),
        (lambda: "unet", "functional .* Received: str 'unet'"),
    ],
)
def test_refused(model, message):
    with pytest.raises(ValueError, match=message):
        find_skips(model())
