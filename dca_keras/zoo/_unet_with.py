import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig, is_positive_int
from dca_keras.zoo import backbones, scaffold, stages
from dca_keras.zoo._models import register_model


def unet_with(
    backbone: keras.Model,
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    decoder_filters: tuple[int, ...] | None = None,
    activation: str | None = "auto",
    freeze: bool = False,
    preprocessing: str | None = "auto",
    channels: int | None = None,
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build a U-Net over a backbone, with or without Dual Cross-Attention.

    The skips are the last features of each resolution before the backbone
    halves it, its output is the bottom. A backbone that halves its sides at
    once has no skip at full resolution; the decoder goes up to it all the
    same. Where convolutions without padding (Inception, Xception) leave a
    skip some pixels short, it is padded with zeros.

    Images are in [0, 1]: what the backbone was trained on instead is made of
    them inside the model. The backbone's layers become the model's own, and
    keep their weights and their dtype policy: training the one trains the
    other.

    Args:
        backbone: A functional `keras.Model` from images to one feature map,
            such as any of `keras.applications` with `include_top=False`, or a
            keras-hub backbone with `pyramid_outputs`. The model takes images
            of its size, known or `None`.
        num_classes: 1 for one foreground class, otherwise the number of
            classes with the background.
        dca: `True` for the paper's Dual Cross-Attention on the skips, `False`
            for none, or a `DCAConfig`.
        decoder_filters: Widths of the decoder from full resolution on, one
            for each time that the backbone halves its sides. `None` is 16,
            and twice as many for each further one.
        activation: Activation of the head. "auto" is sigmoid for one class
            and softmax for more; `None` returns logits.
        freeze: Whether the backbone is not trained; its batch norms then use
            their running averages.
        preprocessing: "auto" finds what the backbone expects. Otherwise
            "bytes" for [0, 255]; "tf", "torch" or "caffe" for what
            `keras.applications` calls so; `None` for [0, 1]; or a function
            of the tensor, such as a layer.
        channels: Channels of the images: `None` for the backbone's own; or 1,
            which is repeated.
        name: Name of the model.
        dtype: Dtype policy of the decoder, such as "mixed_float16". The head
            computes in float32.

    Returns:
        A functional `keras.Model` from images `(batch, height, width,
        channels)` in [0, 1] to `(batch, height, width, num_classes)`.

    Raises:
        ValueError: If an argument is not as described, or the backbone does
            not halve its sides step by step.

    Example:

    >>> backbone = keras.applications.ResNet50(
    ...     include_top=False, weights=None, input_shape=(224, 224, 3)
    ... )
    >>> model = unet_with(backbone, num_classes=1)

    Reference:
        - [U-Net](https://arxiv.org/abs/1505.04597)
        - [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    *ends, bottom = _check_stages(stages.find_stages(backbone), backbone)
    widths = _check_widths(decoder_filters, bottom.level)
    input_shape = _input_shape(backbone, channels)
    finest = 2 ** ends[0].level
    scaffold.check_arguments(
        input_shape,
        num_classes,
        dca,
        stride=2**bottom.level,
        num_skips=len(ends),
        finest=finest,
        ranks=(2,),
    )
    if freeze:
        backbone.trainable = False
    with scaffold.dtype_scope(dtype):
        # === Encoder ===
        inputs = keras.Input(input_shape)
        x = backbones.scale_image(inputs, backbone, preprocessing)
        tensors = [end.tensor for end in (*ends, bottom)]
        *skips, x = (
            _pad(x, end.missing, f"skip_{end.level}")
            for x, end in zip(
                stages.call_on(backbone, x, tensors),
                (*ends, bottom),
                strict=True,
            )
        )

        # === Skips ===
        skips = scaffold.cross_attend(skips, dca, finest=finest)
        skips = {end.level: x for end, x in zip(ends, skips, strict=True)}

        # === Decoder ===
        for level in range(bottom.level - 1, -1, -1):
            block = f"decoder_{level + 1}"
            x = blocks.upsample(x, f"{block}_up")
            if level in skips:
                x = blocks.concatenate([x, skips[level]], f"{block}_concat")
            x = blocks.two_convs(x, widths[level], block)

        outputs = scaffold.head(x, num_classes, activation)
    name = scaffold.model_name(f"unet_with_{backbone.name}", name, dca)
    return keras.Model(inputs, outputs, name=name)


def unet_with_named(
    input_shape=(224, 224, 3),
    num_classes=1,
    *,
    backbone="efficientnetv2b0",
    backbone_weights=None,
    dca=True,
    decoder_filters=None,
    activation="auto",
    freeze=False,
    preprocessing="auto",
    name=None,
    dtype=None,
):
    """Build a U-Net over one of `keras.applications`' models.

    See `unet_with`. Nothing is downloaded unless `backbone_weights` is
    "imagenet".

    Args:
        {common_arguments}
        backbone: Name of an application, such as "resnet50".
        backbone_weights: `None` for random values; "imagenet"; or the path of
            a `.weights.h5` or `.keras` file of the application without its
            top.
        decoder_filters: As in `unet_with`.
        freeze: As in `unet_with`.
        preprocessing: As in `unet_with`.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If an argument is not as described.
    """
    scaffold.check_arguments(
        input_shape, num_classes, dca, stride=1, num_skips=1, ranks=(2,)
    )
    with scaffold.dtype_scope(dtype):
        built = backbones.build_backbone(
            backbone, input_shape, backbone_weights
        )
    return unet_with(
        built,
        num_classes,
        dca=dca,
        decoder_filters=decoder_filters,
        activation=activation,
        freeze=freeze,
        preprocessing=preprocessing,
        channels=input_shape[-1],
        name=name,
        dtype=dtype,
    )


# `create_model("unet_with", …)`, the recipe and the command call this one.
unet_with_named.__name__ = unet_with.__name__
register_model(unet_with_named, listed=False)


def _check_stages(found, backbone):
    levels = [stage.level for stage in found]
    if len(found) < 3 or levels != [*range(levels[0], levels[-1] + 1)]:
        raise ValueError(
            "`backbone` must halve its sides step by step, with at least two "
            "resolutions before its last. Received: "
            f"{backbone.name!r}, whose features have the image's sides over "
            f"{[2**level for level in levels]}."
        )
    return found


def _check_widths(decoder_filters, levels):
    if decoder_filters is None:
        return [16 * 2**level for level in range(levels)]
    return scaffold.check_filters(
        decoder_filters, levels, most=levels, argument="decoder_filters"
    )


def _input_shape(backbone, channels):
    *sides, own = backbone.inputs[0].shape[1:]
    if channels is None:
        channels = own
    if not is_positive_int(channels) or channels not in (1, own):
        raise ValueError(
            f"`channels` must be {own}, the backbone's own, or 1. Received: "
            f"{channels!r}."
        )
    return (*sides, channels)


def _pad(x, missing, name):
    """Give the sides the pixels that they lack, or take off what is over."""
    if missing == 0:
        return x
    before = abs(missing) // 2
    margins = (before, abs(missing) - before)
    layer, suffix = keras.layers.ZeroPadding2D, "pad"
    if missing < 0:
        layer, suffix = keras.layers.Cropping2D, "crop"
    return layer(
        (margins, margins), **blocks.CHANNELS_LAST, name=f"{name}_{suffix}"
    )(x)
