"""U-Nets over backbones that others trained."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from dca_keras import DCAConfig, find_skips, insert_dca, zoo
from dca_keras.losses import DiceLoss
from dca_keras.zoo import backbones, stages
from tests.zoo import check_model as check

TWO_HEADS = DCAConfig(spatial_heads=2)
WIDTHS = (4, 4, 8, 8, 8)
# One of each family: name, the level of the finest skip, and what it is shown.
FAMILIES = {
    "resnet50": (1, "caffe"),
    "resnet50v2": (1, "tf"),
    "efficientnetb0": (1, "bytes"),
    "efficientnetv2b0": (1, "bytes"),
    "convnexttiny": (2, "bytes"),
    "densenet121": (1, "torch"),
    "mobilenet": (1, "tf"),
    "mobilenetv2": (1, "tf"),
    "mobilenetv3small": (1, "bytes"),
    "vgg16": (0, "caffe"),
    "xception": (1, "tf"),
    "inceptionv3": (1, "tf"),
    "inceptionresnetv2": (1, "tf"),
    "nasnetmobile": (1, "tf"),
}


def tiny_backbone(sides=(32, 64), channels=3, name="tiny"):
    """Three halvings, a residual stage and batch norms."""
    x = inputs = keras.Input((*sides, channels))
    for level, width in enumerate((4, 8, 8), 1):
        x = layers.Conv2D(width, 3, 2, "same", name=f"down_{level}")(x)
        y = layers.Conv2D(width, 3, padding="same", name=f"inner_{level}")(x)
        y = layers.BatchNormalization(name=f"norm_{level}")(y)
        x = layers.Add(name=f"stage_{level}")([x, y])
    return keras.Model(inputs, x, name=name)


def small(backbone, **options):
    options = {"decoder_filters": (4, 4, 8), "dca": TWO_HEADS} | options
    return zoo.unet_with(backbone, **options)


def images(sides=(32, 64), channels=3):
    return check.images(sides, channels, batch=1)


@pytest.fixture(scope="module")
def mobile_net():
    return keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(64, 64, 3), alpha=0.35
    )


def test_the_decoder_sees_the_backbones_own_features(mobile_net):
    model = zoo.unet_with(mobile_net, decoder_filters=WIDTHS, dca=TWO_HEADS)
    assert model.name == "unet_with_mobilenetv2_0.35_64_dca"
    assert model.output_shape == (None, 64, 64, 1)
    assert model.get_layer("dca").patch_sizes == (8, 4, 2, 1)
    names = [f"block_{i}_expand_relu" for i in (1, 3, 6, 13)] + ["out_relu"]
    x = images((64, 64))
    shown = keras.applications.mobilenet_v2.preprocess_input(x * 255)
    theirs = keras.Model(
        mobile_net.input, [mobile_net.get_layer(n).output for n in names]
    )(shown, training=False)
    nodes = model.get_layer("dca")._inbound_nodes[0].input_tensors
    bottom = model.get_layer("decoder_5_up").input
    ours = keras.Model(model.input, [*nodes, bottom])(x, training=False)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(a), ops.convert_to_numpy(b), atol=1e-5
        )


def test_the_plain_one_with_dca_inserted_is_the_builders_own():
    backbone = tiny_backbone()
    plain = small(backbone, dca=False)
    assert [skip.layer for skip in find_skips(plain)] == ["stage_1", "stage_2"]
    new, own = insert_dca(plain, config=TWO_HEADS), small(backbone)
    theirs = {w.path: w for w in own.weights}
    for weight in new.weights:
        theirs[weight.path].assign(weight)
    x = images()
    np.testing.assert_allclose(
        check.predict(new, x), check.predict(own, x), atol=1e-6
    )


def test_saved_and_loaded(tmp_path):
    model = small(tiny_backbone(), preprocessing="caffe")
    model.save(tmp_path / "model.keras")
    again = backbones.load_model_file(tmp_path / "model.keras")
    x = images()
    np.testing.assert_array_equal(
        check.predict(again, x), check.predict(model, x)
    )


def test_sides_that_are_unknown():
    fixed = small(tiny_backbone())
    free = small(tiny_backbone((None, None)))
    free.set_weights(fixed.get_weights())
    x = images()
    np.testing.assert_allclose(
        check.predict(free, x), check.predict(fixed, x), atol=1e-6
    )
    assert check.predict(free, images((16, 8))).shape == (1, 16, 8, 1)


def test_a_frozen_backbone_stays_as_it_is():
    backbone = tiny_backbone()
    model = small(backbone, freeze=True)
    before = backbone.get_weights()
    start = model.get_layer("head").get_weights()
    model.compile("sgd", DiceLoss(), run_eagerly=True)
    model.train_on_batch(images(), np.ones((1, 32, 64, 1), "int32"))
    for a, b in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # batch norm's averages too
    after = model.get_layer("head").get_weights()
    assert (start[0] != after[0]).any()


def test_what_a_stage_is():
    found = stages.find_stages(tiny_backbone())
    names = [stage.tensor._keras_history.operation.name for stage in found]
    assert names == ["stage_1", "stage_2", "stage_3"]
    assert [stage.level for stage in found] == [1, 2, 3]


def test_skips_that_lack_pixels_are_padded():
    x = inputs = keras.Input((None, None, 3))
    for level in range(1, 4):
        padding = "valid" if level == 1 else "same"
        x = layers.Conv2D(4, 3, 2, padding, name=f"down_{level}")(x)
        x = layers.Conv2D(4, 3, padding=padding, name=f"conv_{level}")(x)
    backbone = keras.Model(inputs, x, name="valid")
    found = [stage.missing for stage in stages.find_stages(backbone)]
    assert found == [3, 1, 0]
    model = small(backbone, dca=DCAConfig())
    assert check.predict(model, images()).shape == (1, 32, 64, 1)


class Pyramid(keras.Model):
    """A backbone in the manner of keras-hub's."""

    def __init__(self, **kwargs):
        inner = tiny_backbone()
        super().__init__(inner.input, inner.output, **kwargs)
        names = {"P1": "down_1", "P2": "down_2", "P3": "stage_3"}
        self.pyramid_outputs = {
            level: inner.get_layer(name).output for level, name in names.items()
        }


def test_pyramid_outputs_are_the_stages():
    backbone = Pyramid(name="pyramid")
    names = [
        stage.tensor._keras_history.operation.name
        for stage in stages.find_stages(backbone)
    ]
    assert names == ["down_1", "down_2", "stage_3"]
    assert check.predict(small(backbone), images()).shape == (1, 32, 64, 1)


def test_grey_images_are_repeated():
    backbone = tiny_backbone()
    grey, colour = small(backbone, channels=1), small(backbone)
    own = {w.path: w for w in colour.weights}
    for weight in grey.weights:
        own[weight.path].assign(weight)
    x = images(channels=1)
    np.testing.assert_allclose(
        check.predict(grey, x),
        check.predict(colour, np.repeat(x, 3, -1)),
        atol=1e-6,
    )


def test_by_name_with_weights_of_a_file(tmp_path):
    backbone = backbones.build_backbone("VGG16", (32, 32, 3))
    path = tmp_path / "vgg.weights.h5"
    backbone.save_weights(path)
    model = zoo.create_model(
        "unet_with",
        (32, 64, 1),
        2,
        backbone="vgg16",
        backbone_weights=str(path),
        freeze=True,
        dca=False,
        decoder_filters=WIDTHS,
    )
    assert model.output_shape == (None, 32, 64, 2)
    layer = model.get_layer("block1_conv1")
    assert not layer.trainable
    kernel = backbone.get_layer("block1_conv1").get_weights()[0]
    np.testing.assert_array_equal(layer.get_weights()[0], kernel)
    assert "unet_with" not in zoo.list_models()
    assert "unet_with" in zoo.list_models(all=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet"}, "`backbone` must be one of .*resnet50"),
        ({"backbone_weights": "no.h5"}, "There is no file 'no.h5'"),
        ({"backbone_weights": __file__}, "must be weights of mobilenet"),
        (
            {"backbone_weights": "imagenet", "input_shape": (64, 64, 4)},
            "`backbone_weights` are for images of one or three channels",
        ),
        ({"input_shape": (64, 64, 64, 3)}, "has no 3-D form"),
        ({"input_shape": (48, 64, 3)}, "multiples of 32"),
        ({"decoder_filters": (8, 8)}, "`decoder_filters` must be 5 positive"),
        ({"preprocessing": "vgg"}, "`mode` must be one of 'bytes'"),
    ],
)
def test_bad_arguments(options, message):
    options = {"input_shape": (64, 64, 3), "backbone": "mobilenet"} | options
    with pytest.raises(ValueError, match=message):
        zoo.create_model("unet_with", **options)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("resnet50", "`backbone` must be a functional .* Received: str"),
        (
            keras.Sequential(
                [keras.Input((32, 32, 3)), layers.GlobalMaxPooling2D()]
            ),
            "to one feature map",
        ),
        (
            keras.Sequential(
                [keras.Input((32, 32, 3)), layers.Conv2D(4, 8, 8)]
            ),
            "must halve its sides step by step",
        ),
    ],
)
def test_backbones_that_are_none(backbone, message):
    with pytest.raises(ValueError, match=message):
        zoo.unet_with(backbone)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_families(name, tmp_path):
    """Every family of `keras.applications`, once."""
    level, scaling = FAMILIES[name]
    backbone = backbones.build_backbone(name, (96, 96, 3))
    found = stages.find_stages(backbone)
    assert [stage.level for stage in found] == [*range(level, 6)]
    assert backbones.find_scaling(backbone) == scaling
    model = zoo.unet_with(backbone, decoder_filters=WIDTHS, dca=TWO_HEADS)
    x = images((96, 96))
    expected = check.predict(model, x)
    assert expected.shape == (1, 96, 96, 1)
    model.save(tmp_path / "model.keras")
    again = backbones.load_model_file(tmp_path / "model.keras")
    np.testing.assert_array_equal(check.predict(again, x), expected)
    model.compile("sgd", DiceLoss(), run_eagerly=True)
    # Two images: what is normalised over one value has no gradient; nor
    # has a bias before a batch norm.
    x = np.concatenate([x, x[:, ::-1]])
    mask = (x.mean(-1, keepdims=True) > 0.5).astype("int32")
    kernels = [w for w in model.trainable_weights if w.path.endswith("kernel")]
    start = [np.array(kernel.numpy()) for kernel in kernels]
    assert np.isfinite(model.train_on_batch(x, mask))
    moved = [
        (a != b.numpy()).any() for a, b in zip(start, kernels, strict=True)
    ]
    assert np.mean(moved) > 0.9
