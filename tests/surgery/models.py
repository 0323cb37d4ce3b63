"""Encoder-decoders as others write them, small."""

import keras
from keras import layers, ops

from peers.written import keras_io_unet, pretrained_unet

__all__ = ["keras_io_unet", "pretrained_unet"]


def residual_unet(sides=(32, 32), widths=(4, 8, 16), add=False, heads=True):
    """Strided residual stages, deep supervision, skips as they are written.

    Operators instead of layers, dense and residual connections inside, a
    squeeze-and-excitation, a 1x1 convolution on the skip path, and an output
    for each stage of the decoder.
    """
    dimensions = len(sides)
    conv = {2: layers.Conv2D, 3: layers.Conv3D}[dimensions]
    pool = {2: layers.GlobalAveragePooling2D, 3: layers.GlobalAveragePooling3D}
    up = {2: layers.UpSampling2D, 3: layers.UpSampling3D}[dimensions]
    inputs = keras.Input((*sides, 2), name="image")
    x, skips = inputs, []
    for i, width in enumerate(widths):
        step = 2 if i else 1
        shortcut = conv(width, 1, step)(x)
        x = conv(width, 3, step, "same")(x)
        x = layers.BatchNormalization()(x)
        x = ops.relu(x)
        x = conv(width, 3, padding="same")(x) + shortcut
        gate = pool[dimensions](keepdims=True)(x)
        gate = layers.Dense(width, "sigmoid")(gate)
        x = layers.Multiply(name=f"stage_{i}")([x, gate])
        skips.append(x)
    x = layers.Dropout(0.1)(skips.pop())
    outputs = []
    for i, skip in list(enumerate(skips))[::-1]:
        x = up(2)(x)
        side = conv(x.shape[-1] if add else 4, 1, name=f"lateral_{i}")(skip)
        if add:
            x = x + side
        else:
            x = ops.concatenate([side, x], -1)
        y = conv(widths[i], 3, padding="same")(x)
        x = layers.LayerNormalization()(layers.Concatenate()([x, y]))
        outputs.append(conv(1, 1, activation="sigmoid", name=f"out_{i}")(x))
    return keras.Model(inputs, outputs if heads else outputs[-1], name="mine")


def attention_unet(sides=(32, 32)):
    """Additive gates that pool the skip to the scale of what gates it."""
    inputs = x = keras.Input((*sides, 1))
    skips = []
    for i, width in enumerate((4, 8, 16)):
        x = layers.Conv2D(width, 3, padding="same", name=f"down_{i}")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    for i in (2, 1, 0):
        skip, width = skips[i], skips[i].shape[-1]
        theta = layers.Conv2D(width, 2, 2)(skip)
        phi = layers.Conv2D(width, 1)(x)
        gate = layers.ReLU()(layers.Add()([theta, phi]))
        gate = layers.Conv2D(1, 1, activation="sigmoid")(gate)
        gate = layers.UpSampling2D()(gate)
        skip = layers.Multiply(name=f"gate_{i}")([skip, gate])
        x = layers.Conv2DTranspose(width, 2, 2)(x)
        x = layers.Concatenate()([x, skip])
        x = layers.Conv2D(width, 3, padding="same")(x)
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))


def unet_plus_plus(sides=(32, 32), widths=(4, 8, 12, 16)):
    """U-Net++: nested nodes X_ij on the skip paths."""
    inputs = x = keras.Input((*sides, 1))
    grid = {}
    for i, width in enumerate(widths):
        x = layers.Conv2D(width, 3, padding="same", name=f"x_{i}_0")(x)
        grid[i, 0] = x
        x = layers.MaxPooling2D()(x)
    for j in range(1, len(widths)):
        for i in range(len(widths) - j):
            x = layers.UpSampling2D()(grid[i + 1, j - 1])
            x = layers.Concatenate()([*(grid[i, k] for k in range(j)), x])
            conv = layers.Conv2D(
                widths[i], 3, padding="same", name=f"x_{i}_{j}"
            )
            grid[i, j] = conv(x)
    return keras.Model(inputs, layers.Conv2D(1, 1)(grid[0, len(widths) - 1]))


def valid_unet(side=188):
    """The first U-Net: convolutions without padding, cropped skips."""
    inputs = x = keras.Input((side, side, 1))
    skips = []
    for i, width in enumerate((4, 8)):
        x = layers.Conv2D(width, 3)(x)
        x = layers.Conv2D(width, 3, name=f"down_{i}")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(16, 3)(x)
    for skip in skips[::-1]:
        x = layers.UpSampling2D()(x)
        crop = (skip.shape[1] - x.shape[1]) // 2
        x = layers.Concatenate()([layers.Cropping2D(crop)(skip), x])
        x = layers.Conv2D(skip.shape[-1], 3)(x)
    return keras.Model(inputs, layers.Conv2D(1, 1)(x), name="valid")


def two_images(sides=(32, 32)):
    """A shared encoder sees two images, whose features join as one skip."""
    one = keras.Input((*sides, 1), name="before")
    x, features = one, []
    for width in (4, 8, 16):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        features.append(x)
        x = layers.MaxPooling2D()(x)
    encoder = keras.Model(one, [*features, x], name="encoder")
    two = keras.Input((*sides, 1), name="after")
    pairs = list(zip(encoder(one), encoder(two), strict=True))
    *skips, x = [
        layers.Concatenate(name=f"pair_{i}")(p) for i, p in enumerate(pairs)
    ]
    for skip in skips[::-1]:
        x = layers.Conv2DTranspose(skip.shape[-1], 2, 2)(x)
        x = layers.Add()([x, skip])
    outputs = {"mask": layers.Conv2D(1, 1, name="mask")(x)}
    return keras.Model({"before": one, "after": two}, outputs)


def flat_patches(sides=(8, 16, 16)):
    """Volumes of thick slices: the first pooling leaves the depth alone."""
    inputs = x = keras.Input((*sides, 1))
    skips = []
    for i, (width, window) in enumerate(((4, (1, 2, 2)), (8, 2), (8, 2))):
        x = layers.Conv3D(width, 3, padding="same", name=f"down_{i}")(x)
        skips.append((x, window))
        x = layers.MaxPooling3D(window)(x)
    for skip, window in skips[::-1]:
        x = layers.Conv3DTranspose(skip.shape[-1], window, window)(x)
        x = layers.Concatenate()([x, skip])
    return keras.Model(inputs, layers.Conv3D(1, 1)(x), name="flat")


def link_net(side=32):
    """LinkNet: strided residual stages, and skips that are added."""
    inputs = keras.Input((side, side, 3))
    x = layers.MaxPooling2D(3, 2, "same")(_convs(inputs, 8, strides=2))
    skips = []
    for width in (8, 12, 16):
        step = 2 if skips else 1
        shortcut = layers.Conv2D(width, 1, step)(x)
        x = _convs(_convs(x, width, strides=step), width)
        x = layers.ReLU(name=f"down_{len(skips)}")(layers.Add()([x, shortcut]))
        skips.append(x)
    x = skips.pop()
    for skip in skips[::-1]:
        x = _convs(x, x.shape[-1] // 4, kernel=1)
        x = layers.Conv2DTranspose(x.shape[-1], 3, 2, "same")(x)
        x = layers.Add()([_convs(x, skip.shape[-1], kernel=1), skip])
    x = layers.Conv2DTranspose(4, 3, 2, "same", activation="relu")(x)
    return keras.Model(inputs, layers.Conv2DTranspose(1, 2, 2)(x))


def padded_unet(side=28):
    """What poolings round down is padded before it meets the skip."""
    inputs = x = keras.Input((side, side, 1))
    skips = []
    for width in (4, 8, 12):
        x = _convs(x, width, name=f"down_{len(skips)}")
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    for skip in skips[::-1]:
        x = layers.Conv2DTranspose(skip.shape[-1], 2, 2)(x)
        more = skip.shape[1] - x.shape[1]
        x = layers.ZeroPadding2D(((0, more), (0, more)))(x)
        x = _convs(layers.Concatenate()([skip, x]), skip.shape[-1])
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def heads_on_both_sides(side=32):
    """Each stage of the encoder has a head, which joins at full size."""
    inputs = x = keras.Input((side, side, 3))
    skips, heads = [], [inputs]
    for i, width in enumerate((4, 8, 12)):
        x = _convs(x, width, name=f"down_{i}")
        skips.append(x)
        heads.append(layers.UpSampling2D(2**i)(layers.Conv2D(1, 1)(x)))
        x = layers.MaxPooling2D()(x)
    outputs = []
    for i, skip in list(enumerate(skips))[::-1]:
        x = layers.UpSampling2D(interpolation="bilinear")(x)
        x = _convs(layers.Concatenate()([x, skip]), skip.shape[-1])
        head = layers.Conv2D(1, 1)(x)
        outputs.append(layers.UpSampling2D(2**i)(head) if i else head)
    fused = layers.Concatenate()([*heads, *outputs])
    return keras.Model(inputs, [*outputs, layers.Conv2D(1, 1)(fused)])


def encoder_and_decoder(side=32):
    """Each is a model; a dictionary of features goes from one to the other."""
    inputs = x = keras.Input((side, side, 3))
    features = {}
    for width in (4, 8, 12):
        x = features[f"w{width}"] = _convs(x, width, name=f"down_{width}")
        x = layers.MaxPooling2D()(x)
    features["deep"] = _convs(x, 16)
    encoder = keras.Model(inputs, features, name="encoder")
    given = {k: keras.Input(x.shape[1:], name=k) for k, x in features.items()}
    x = given["deep"]
    for width in (12, 8, 4):
        x = layers.UpSampling2D()(x)
        x = _convs(layers.Concatenate()([x, given[f"w{width}"]]), width)
    decoder = keras.Model(given, layers.Conv2D(1, 1)(x), name="decoder")
    images = keras.Input((side, side, 3))
    return keras.Model(images, decoder(encoder(layers.Rescaling(0.5)(images))))


def _convs(x, width, kernel=3, strides=1, name=None):
    x = layers.Conv2D(width, kernel, strides, "same")(x)
    return layers.LeakyReLU(name=name)(layers.BatchNormalization()(x))
