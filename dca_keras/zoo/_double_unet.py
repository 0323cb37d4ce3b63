import functools
import pathlib
from pathlib import Path

import keras
import numpy as np

from dca_keras import blocks
from dca_keras.config import DCAConfig
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model

VGG_CONVS = (2, 2, 4, 4, 4)
DILATIONS = (1, 6, 12, 18)
IMAGENET_MEAN = np.array((0.485, 0.456, 0.406))
IMAGENET_DEVIATION = np.array((0.229, 0.224, 0.225))


@register_model
def double_unet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    filters: tuple[int, ...] = (32, 64, 128, 256, 64),
    encoder_filters: tuple[int, ...] = (64, 128, 256, 512, 512),
    encoder_weights: str | Path | None = None,
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build DoubleU-Net, with or without Dual Cross-Attention.

    A first network with VGG19 as its encoder gates the image for a second
    network, whose decoder reads the skips of both encoders. With DCA there
    are three modules: one before the first decoder, one more, on its outputs,
    before the second, and one on the second encoder.

    The image is normalised with the ImageNet statistics inside the model; a
    single channel is repeated to three, and any number of channels other than
    one and three is normalised with the statistics' means.

    Args:
        {common_arguments}
        filters: Widths of the second network and of both decoders from the
            finest stage on, then of the two pyramids: five. Sides divide
            by 16.
        encoder_filters: Widths of VGG19's five groups.
        encoder_weights: `None` for random values, as published; "imagenet"
            for the weights of `keras.applications.VGG19`, downloaded; or the
            path of a file of such weights without the top.

    Returns:
        A functional `keras.Model` from images `(batch, *sides, channels)` in
        [0, 1] to `(batch, *sides, num_classes)`.

    Raises:
        ValueError: If an argument is not as described, or the weights cannot
            be read.

    Reference:
        - [DoubleU-Net](https://arxiv.org/abs/2006.04868)
        - [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    *widths, pyramid = scaffold.check_filters(filters, 5, most=5)
    encoder_filters = scaffold.check_filters(
        encoder_filters, 5, most=5, argument="encoder_filters"
    )
    scaffold.check_arguments(
        input_shape, num_classes, dca, stride=16, num_skips=4
    )
    vgg_weights = _read_vgg_weights(
        encoder_weights, input_shape, encoder_filters
    )
    with scaffold.dtype_scope(dtype):
        # === First network ===
        inputs = keras.Input(input_shape)
        image = _normalise(inputs)
        vgg_skips, x = _vgg(image, encoder_filters)
        # Three modules would keep much for the backward pass.
        attend = functools.partial(scaffold.cross_attend, recompute=True)
        vgg_skips = attend(vgg_skips, dca, "vgg_dca_1")
        x = _pyramid(x, pyramid, "first_pyramid")
        x = _decoder(x, [[skip] for skip in vgg_skips], widths, "first_decoder")
        gate = blocks.conv(
            x, image.shape[-1], 1, "first_out_conv", activation="sigmoid"
        )

        # === Second network ===
        x = keras.layers.Multiply(name="gated_image")([gate, image])
        skips = []
        for stage, width in enumerate(widths, 1):
            raw, x = _unit(x, width, f"second_encoder_{stage}")
            skips.append(raw)
            x = blocks.max_pool(x, f"second_encoder_{stage}_pool")
        vgg_skips = attend(vgg_skips, dca, "vgg_dca_2")
        skips = attend(skips, dca, "second_dca")
        x = _pyramid(x, pyramid, "second_pyramid")
        skips = [list(pair) for pair in zip(vgg_skips, skips, strict=True)]
        x = _decoder(x, skips, widths, "second_decoder")

        outputs = scaffold.head(x, num_classes, activation)
    model = keras.Model(
        inputs, outputs, name=scaffold.model_name("double_unet", name, dca)
    )
    for layer, values in vgg_weights.items():
        model.get_layer(layer).set_weights(values)
    return model


def _normalise(inputs):
    """Normalise pixels in [0, 1] by the ImageNet statistics."""
    x, channels = inputs, inputs.shape[-1]
    if channels == 1:
        x = blocks.concatenate([x, x, x], "repeat")
        channels = 3
    mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION
    if channels != 3:
        mean = np.full(channels, mean.mean())
        deviation = np.full(channels, deviation.mean())
    return keras.layers.Normalization(
        mean=mean, variance=deviation**2, name="normalise"
    )(x)


def _vgg(x, widths):
    """Return VGG19's raw features of its first four groups, and its output."""
    skips = []
    for group, (width, count) in enumerate(
        zip(widths, VGG_CONVS, strict=True), 1
    ):
        for i in range(1, count + 1):
            raw = blocks.conv(x, width, 3, f"vgg_{group}_{i}_conv")
            x = blocks.relu(raw, f"vgg_{group}_{i}_relu")
        if group < len(widths):
            skips.append(raw)
            x = blocks.max_pool(x, f"vgg_{group}_pool")
    return skips, x


def _pyramid(x, width, name):
    """Apply ASPP: five parallel convolutions, concatenated, then a 1x1 one."""
    branches = [
        blocks.conv_norm_relu(x, width, f"{name}_branch_1", kernel_size=1)
    ]
    for i, dilation in enumerate(DILATIONS, 2):
        branches.append(
            blocks.conv_norm_relu(
                x,
                width,
                f"{name}_branch_{i}",
                dilation_rate=dilation,
                use_bias=False,
            )
        )
    x = blocks.concatenate(branches, f"{name}_concat")
    return blocks.conv_norm_relu(
        x, width, f"{name}_out", kernel_size=1, use_bias=False
    )


def _unit(x, width, name):
    """Return the second convolution's raw output, and the unit's output."""
    x = blocks.conv_norm_relu(x, width, f"{name}_1")
    raw = blocks.conv(x, width, 3, f"{name}_2_conv")
    x = blocks.norm_relu(raw, f"{name}_2")
    return raw, blocks.squeeze_excite(x, width // 8, name)


def _decoder(x, skips, widths, name):
    """Decode stage by stage; `skips` has a list of skips for each."""
    for stage in range(len(widths), 0, -1):
        block = f"{name}_{stage}"
        x = blocks.upsample(x, f"{block}_up")
        x = blocks.concatenate([*skips[stage - 1], x], f"{block}_concat")
        _, x = _unit(x, widths[stage - 1], block)
    return x


def _read_vgg_weights(source, input_shape, widths):
    """Return kernel and bias of each VGG19 layer; none without a source."""
    if source is None:
        return {}
    if len(input_shape) != 3 or input_shape[-1] not in (1, 3):
        raise ValueError(
            "`encoder_weights` are for images of one or three channels. "
            f"Received: input_shape={tuple(input_shape)}."
        )
    if source != "imagenet" and not pathlib.Path(source).is_file():
        raise ValueError(
            "`encoder_weights` must be None, 'imagenet' or the path of a "
            f"weights file. There is no file {str(source)!r}."
        )
    try:
        vgg = keras.applications.VGG19(include_top=False, weights=source)
    except Exception as error:
        raise ValueError(
            "`encoder_weights` must be weights of keras.applications.VGG19 "
            f"without its top. Could not read {str(source)!r}: {error}"
        ) from error
    weights = {}
    for group, count in enumerate(VGG_CONVS, 1):
        for i in range(1, count + 1):
            layer = vgg.get_layer(f"block{group}_conv{i}")
            weights[f"vgg_{group}_{i}_conv"] = layer.get_weights()
    _check_vgg_widths(weights, widths)
    kernel, bias = weights["vgg_1_1_conv"]
    weights["vgg_1_1_conv"] = _from_caffe_input(kernel, bias)
    return weights


def _check_vgg_widths(weights, widths):
    found = [weights[f"vgg_{group}_1_conv"][1].size for group in range(1, 6)]
    if found != list(widths):
        raise ValueError(
            f"`encoder_weights` have the widths {tuple(found)}. Received: "
            f"encoder_filters={tuple(widths)}."
        )


def _from_caffe_input(kernel, bias):
    """Convert the first convolution from Keras's input to ours.

    Keras's VGG19 expects blue-green-red pixels in [0, 255] less the mean
    (103.939, 116.779, 123.68); our model hands it red-green-blue ones in
    [0, 1], normalised. The change of input is linear, so it goes into the
    weights (exactly so inside the image; the zero padding at its border
    stands for colours that differ by half a grey level).
    """
    caffe_mean = np.array((123.68, 116.779, 103.939))  # red, green, blue
    kernel = kernel[:, :, ::-1, :]
    offset = 255 * IMAGENET_MEAN - caffe_mean
    bias = bias + np.einsum("hwio,i->o", kernel, offset)
    kernel = kernel * (255 * IMAGENET_DEVIATION)[:, None]
    return [kernel.astype("float32"), bias.astype("float32")]
