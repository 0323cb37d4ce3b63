"""DCA in models of other packages, with no help beyond the model.

Each is built at its smallest. The tests skip where a package is absent.
"""

import keras
import numpy as np
import pytest

from dca_keras import find_skips, insert_dca, zoo
from tests.surgery.test_insert_dca import inputs_of, outputs_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow",
        reason="once is enough, on TensorFlow",
    ),
]
IMAGES, VOLUMES = (64, 64, 3), (32, 32, 32, 1)
# Class, input shape, encoder, the skips' strides and layers.
RESNET = [
    "conv1_relu",
    "stack0_block1_out",
    "stack1_block1_out",
    "stack2_block1_out",
]
UNETR = [
    "decoder_input_cnn_stem",
    "unetr_token_projection_stage1",
    "unetr_token_projection_stage2",
    "unetr_token_projection_stage3",
]
SWIN = [
    "decoder_input_cnn_stem",
    "pos_drop",
    "swin_feature1",
    "swin_feature2",
    "swin_feature3",
]
UNETR_PLUS_PLUS = [
    "decoder_input_projection",
    "stage_0_transformer_block_2",
    "stage_1_transformer_block_2",
    "stage_2_transformer_block_2",
]
MEDICAI = {
    "UNet": ("UNet", IMAGES, "resnet18", RESNET),
    "UNet3D": ("UNet", VOLUMES, "resnet18", RESNET),
    "AttentionUNet": ("AttentionUNet", IMAGES, "resnet18", RESNET),
    "AttentionUNet3D": ("AttentionUNet", VOLUMES, "resnet18", RESNET),
    "UNetPlusPlus": ("UNetPlusPlus", IMAGES, "resnet18", RESNET),
    "UNetPlusPlus3D": ("UNetPlusPlus", VOLUMES, "resnet18", RESNET),
    "UPerNet": ("UPerNet", IMAGES, "resnet18", RESNET[1:]),
    "UNETR": ("UNETR", IMAGES, "vit_base", UNETR),
    "UNETR3D": ("UNETR", VOLUMES, "vit_base", UNETR),
    "UNETRPlusPlus": (
        "UNETRPlusPlus",
        IMAGES,
        "unetr_plusplus_encoder",
        UNETR_PLUS_PLUS,
    ),
    "SwinUNETR": ("SwinUNETR", IMAGES, "swin_tiny", SWIN),
    "SwinUNETR3D": ("SwinUNETR", VOLUMES, "swin_tiny", SWIN),
    "TransUNet": ("TransUNet", IMAGES, "resnet18", RESNET),
}
# medicai's layers for these can't be read back from their own configs.
UNREADABLE = {
    "UNETR",
    "UNETR3D",
    "UNETRPlusPlus",
    "SwinUNETR",
    "SwinUNETR3D",
    "TransUNet",
}
# A layer of these fails in a graph, in medicai's own model as in ours.
UNEXPORTABLE = {"UPerNet", "TransUNet"}
# Builder and options of keras-unet-collection; how the skips' layers end.
WIDTHS = [8, 16, 32, 64]
COLLECTION = {
    "unet_2d": ["down0_1_activation", "down1_conv_1_activation"],
    "att_unet_2d": ["down0_1_activation", "down1_conv_1_activation"],
    "r2_unet_2d": ["down0_add1", "down1_add1"],
}


@pytest.mark.parametrize("name", MEDICAI)
def test_medicai(name, tmp_path):
    medicai = pytest.importorskip("medicai.models")
    kind, shape, encoder, layers = MEDICAI[name]
    model = getattr(medicai, kind)(
        input_shape=shape, encoder_name=encoder, num_classes=1
    )
    assert [skip.layer for skip in find_skips(model)] == layers
    check_peer(
        model, tmp_path, name not in UNREADABLE, name not in UNEXPORTABLE
    )


@pytest.mark.parametrize("name", COLLECTION)
def test_keras_unet_collection(name, tmp_path):
    collection = pytest.importorskip("keras_unet_collection.models")
    model = getattr(collection, name)(
        IMAGES, WIDTHS, 1, output_activation="Sigmoid"
    )
    skips = find_skips(model)
    assert len(skips) == 3
    for skip, end in zip(skips, COLLECTION[name], strict=False):
        assert skip.layer.endswith(end)
    check_peer(model, tmp_path)


def test_a_decoder_that_drops_its_skips():
    """The collection's U-Net++ hands `concat=False` to what should join."""
    collection = pytest.importorskip("keras_unet_collection.models")
    model = collection.unet_plus_2d(
        IMAGES, WIDTHS, 1, output_activation="Sigmoid"
    )
    assert not find_skips(model)
    with pytest.raises(ValueError, match="at least two skips. Found .* none"):
        insert_dca(model)


@pytest.mark.parametrize("kind", ["SegFormer", "DeepLabV3Plus"])
def test_those_with_a_single_skip(kind):
    medicai = pytest.importorskip("medicai.models")
    encoder = {"SegFormer": "mit_b0", "DeepLabV3Plus": "resnet18"}[kind]
    model = getattr(medicai, kind)(
        input_shape=IMAGES, encoder_name=encoder, num_classes=1
    )
    with pytest.raises(ValueError, match="attends across at least two skips"):
        insert_dca(model)


def test_keras_hub():
    """Its two segmentation networks have one skip; its backbones do."""
    models = pytest.importorskip("keras_hub.models")
    widths = {"hidden_dims": [8, 16, 40, 64], "max_drop_path_rate": 0.1}
    strides = {"layerwise_sr_ratios": [8, 4, 2, 1]}
    mit = models.MiTBackbone(
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_depths=[1] * 4,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        num_layers=4,
        image_shape=IMAGES,
        **(widths | strides),
    )
    resnet = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64] * 4,
        stackwise_num_blocks=[1] * 4,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=IMAGES,
    )
    segformer = models.SegFormerBackbone(mit, projection_filters=32)
    deeplab = models.DeepLabV3Backbone(
        image_encoder=resnet,
        spatial_pyramid_pooling_key="P4",
        low_level_feature_key="P2",
        upsampling_size=4,
        dilation_rates=[6, 12, 18],
        image_shape=IMAGES,
    )
    for model in (segformer, deeplab):
        with pytest.raises(ValueError, match="attends across at least two"):
            insert_dca(model)
    model = zoo.unet_with(resnet)
    x = np.zeros((1, *IMAGES), "float32")
    assert model(x).shape == (1, *IMAGES[:2], 1)
    assert model.get_layer("dca")


def check_peer(model, folder, loads=True, exports=True):
    """The same output at first, gradients everywhere, files and exports."""
    new = insert_dca(model, start="identity")
    x = inputs_of(model)
    expected = outputs_of(model, x)
    for y, before in zip(outputs_of(new, x), expected, strict=True):
        np.testing.assert_allclose(y, before, rtol=0, atol=1e-6)
    ours = {id(v) for v in model.variables}
    assert not ours & {id(v) for v in new.variables}
    check_gradients(insert_dca(model), model, x)
    if exports:
        new.export(folder / "saved", verbose=False)
    else:
        with pytest.raises(Exception, match="not allowed"):
            model.export(folder / "saved", verbose=False)
    if loads:
        new.save(folder / "new.keras")
        # Some of their layers are not registered.
        kinds = {type(x).__name__: type(x) for x in new._flatten_layers()}
        again = keras.saving.load_model(folder / "new.keras", kinds)
        for y, before in zip(outputs_of(again, x), expected, strict=True):
            np.testing.assert_allclose(y, before, rtol=0, atol=1e-6)
    new.save_weights(folder / "new.weights.h5")


def check_gradients(new, model, x):
    """All of DCA's weights, and of the model's all that had one before."""
    had = {path for path, g in gradients(model, x).items() if g is not None}
    for path, gradient in gradients(new, x).items():
        if path in had or path.startswith("dca/"):
            assert gradient is not None, path
            assert np.isfinite(gradient).all(), path
            if path.startswith("dca/") and not path.endswith("bias"):
                assert np.asarray(gradient).any(), path


def gradients(model, x):
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
