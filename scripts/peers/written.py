"""Models that tutorials write down, and segmentation networks of keras-hub."""

import importlib

import keras
from keras import layers

IMAGES = (64, 64, 3)


def keras_io_unet(sides=(32, 32), num_classes=3):
    """The U-Net of keras.io's segmentation example, with residuals inside.

    It has no skip connections: its decoder adds only what is its own.
    """
    inputs = keras.Input((*sides, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    before = x
    for width in (8, 16):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.SeparableConv2D(width, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(width, 1, strides=2, padding="same")(before)
        x = before = layers.add([x, residual])
    for width in (16, 8, 4):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.Conv2DTranspose(width, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.UpSampling2D(2)(before)
        residual = layers.Conv2D(width, 1, padding="same")(residual)
        x = before = layers.add([x, residual])
    outputs = layers.Conv2D(
        num_classes, 3, activation="softmax", padding="same"
    )(x)
    return keras.Model(inputs, outputs)


def pretrained_unet(sides=(64, 64)):
    """Keras's image-segmentation tutorial: a backbone as a model in it."""
    base = keras.applications.MobileNetV2(
        (*sides, 3), include_top=False, weights=None, alpha=0.35
    )
    names = [
        "block_1_expand_relu",
        "block_3_expand_relu",
        "block_6_expand_relu",
        "block_13_expand_relu",
        "block_16_project",
    ]
    down = keras.Model(
        base.input, [base.get_layer(n).output for n in names], name="down"
    )
    down.trainable = False
    inputs = keras.Input((*sides, 3))
    *skips, x = down(inputs)
    for skip, width in zip(skips[::-1], (32, 16, 8, 8), strict=True):
        up = keras.Sequential(
            [
                layers.Conv2DTranspose(width, 3, 2, "same", use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
            ]
        )
        x = layers.Concatenate()([up(x), skip])
    outputs = layers.Conv2DTranspose(3, 3, 2, "same")(x)
    return keras.Model(inputs, outputs)


def hub_resnet():
    """Build the smallest ResNet backbone of keras-hub."""
    return importlib.import_module("keras_hub.models").ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64] * 4,
        stackwise_num_blocks=[1] * 4,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=IMAGES,
    )


def hub_segformer():
    """Build SegFormer over the smallest Mix Transformer of keras-hub."""
    models = importlib.import_module("keras_hub.models")
    mit = models.MiTBackbone(
        hidden_dims=[8, 16, 40, 64],
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_depths=[1] * 4,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        num_layers=4,
        image_shape=IMAGES,
    )
    return models.SegFormerBackbone(mit, projection_filters=32)


def hub_deeplab():
    """Build DeepLabV3 over the smallest ResNet of keras-hub."""
    return importlib.import_module("keras_hub.models").DeepLabV3Backbone(
        image_encoder=hub_resnet(),
        spatial_pyramid_pooling_key="P4",
        low_level_feature_key="P2",
        upsampling_size=4,
        dilation_rates=[6, 12, 18],
        image_shape=IMAGES,
    )
