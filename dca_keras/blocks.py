"""Functions of tensors that the architectures share.

Each adds named layers to a functional model and works on images
`(batch, height, width, channels)` and on volumes `(batch, depth, height,
width, channels)`: the tensor's rank decides. Channels come last, whatever
`keras.config.image_data_format()` says. Padding is symmetric, as in the
published code, also where a convolution strides.
"""

import keras
from keras import layers

from dca_keras.layers import AlignedUpsampling, SelfAttention
from dca_keras.layers.initializers import torch_uniform, torch_uniform_bias

CHANNELS_LAST = {"data_format": "channels_last"}


def conv_layer(x, filters, kernel_size, name, kind=None, **options):
    """Make a convolution layer for tensors such as `x`.

    `kind` is another class of layer than Keras's own.
    """
    dimensions = dimensions_of(x)
    layer = kind or {2: layers.Conv2D, 3: layers.Conv3D}[dimensions]
    padding = "same" if options.get("strides", 1) == 1 else "valid"
    fan_in = x.shape[-1] * kernel_size**dimensions
    return layer(
        filters,
        kernel_size,
        padding=padding,
        **CHANNELS_LAST,
        kernel_initializer=torch_uniform(),
        bias_initializer=torch_uniform_bias(fan_in),
        name=name,
        **options,
    )


def conv(x, filters, kernel_size, name, **options):
    """Convolve; where it strides, an odd kernel is padded on each side."""
    strides = options.get("strides", 1)
    if strides > 1 and kernel_size == 1:
        # The same pixels are picked first: TensorFlow's oneDNN crashes on the
        # gradient of such a kernel with 8 channels and 16 filters, or fewer.
        x = max_pool(x, f"{name}_pick", pool_size=1, strides=strides)
        options["strides"] = 1
    elif strides > 1 and kernel_size % 2:
        layer = {2: layers.ZeroPadding2D, 3: layers.ZeroPadding3D}
        x = layer[dimensions_of(x)](
            kernel_size // 2, **CHANNELS_LAST, name=f"{name}_pad"
        )(x)
    return conv_layer(x, filters, kernel_size, name, **options)(x)


def conv_transpose(x, filters, name):
    """Double every side by a transposed convolution."""
    dimensions = dimensions_of(x)
    layer = {2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}[dimensions]
    return layer(
        filters,
        2,
        2,
        **CHANNELS_LAST,
        kernel_initializer=torch_uniform(),
        # PyTorch takes a transposed kernel's fan-in from its outputs.
        bias_initializer=torch_uniform_bias(filters * 2**dimensions),
        name=name,
    )(x)


def norm_layer(name):
    """Make a batch norm with the published code's epsilon and momentum."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


def norm(x, name):
    """Apply batch norm."""
    return norm_layer(name)(x)


def relu(x, name):
    """Apply ReLU."""
    return layers.ReLU(name=name)(x)


def norm_relu(x, name):
    """Apply batch norm and ReLU."""
    return relu(norm(x, f"{name}_norm"), f"{name}_relu")


def norm_prelu(x, name):
    """Apply batch norm and a PReLU with one slope for the whole layer."""
    x = norm(x, f"{name}_norm")
    return layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25),
        shared_axes=list(range(1, len(x.shape))),
        name=f"{name}_prelu",
    )(x)


def conv_norm(x, filters, kernel_size, name, **options):
    """Apply a convolution and batch norm."""
    x = conv(x, filters, kernel_size, f"{name}_conv", **options)
    return norm(x, f"{name}_norm")


def conv_norm_relu(x, filters, name, kernel_size=3, **options):
    """Apply a convolution, batch norm and ReLU."""
    x = conv_norm(x, filters, kernel_size, name, **options)
    return relu(x, f"{name}_relu")


def two_convs(x, filters, name, **options):
    """Apply twice a 3x3 convolution, batch norm and ReLU."""
    for i in (1, 2):
        x = conv_norm_relu(x, filters, f"{name}_{i}", **options)
    return x


def max_pool(x, name, pool_size=2, strides=2):
    """Divide every side by `strides` by max pooling."""
    layer = {2: layers.MaxPooling2D, 3: layers.MaxPooling3D}
    return layer[dimensions_of(x)](
        pool_size, strides, **CHANNELS_LAST, name=name
    )(x)


def upsample(x, name):
    """Double every side by linear upsampling with aligned corners."""
    return AlignedUpsampling(2, name=name)(x)


def upsample_nearest(x, name):
    """Double every side by nearest upsampling."""
    layer = {2: layers.UpSampling2D, 3: layers.UpSampling3D}
    return layer[dimensions_of(x)](2, **CHANNELS_LAST, name=name)(x)


def concatenate(tensors, name):
    """Concatenate tensors along their channels."""
    return layers.Concatenate(name=name)(tensors)


def add(tensors, name):
    """Add tensors."""
    return layers.Add(name=name)(tensors)


def squeeze_excite(x, hidden, name):
    """Scale each channel by a gate computed from all channels' means."""
    pool = {
        2: layers.GlobalAveragePooling2D,
        3: layers.GlobalAveragePooling3D,
    }[dimensions_of(x)]
    gate = pool(keepdims=True, **CHANNELS_LAST, name=f"{name}_squeeze")(x)
    for units, activation, part in (
        (max(1, hidden), "relu", "reduce"),
        (x.shape[-1], "sigmoid", "expand"),
    ):
        gate = layers.Dense(
            units,
            activation,
            use_bias=False,
            kernel_initializer=torch_uniform(),
            name=f"{name}_{part}",
        )(gate)
    return layers.Multiply(name=f"{name}_excite")([x, gate])


def dense(x, units, name, **options):
    """Apply a dense layer to each pixel's channels."""
    return layers.Dense(
        units,
        kernel_initializer=torch_uniform(),
        bias_initializer=torch_uniform_bias(x.shape[-1]),
        name=name,
        **options,
    )(x)


def layer_norm(x, name):
    """Normalise each pixel's channels."""
    return layers.LayerNormalization(epsilon=1e-6, name=name)(x)


def transformer_block(
    x, heads, hidden, name, *, dropout=0.0, drop_path=0.0, **attention
):
    """Apply self-attention and a perceptron, each normed first and added.

    Args:
        x: Tensor, a feature map.
        heads: Number of heads of the attention.
        hidden: Width of the perceptron's hidden layer.
        name: Beginning of the layers' names.
        dropout: Rate at which single values in the perceptron are dropped.
        drop_path: Rate at which what would be added is left out for a whole
            image.
        **attention: Further arguments of `SelfAttention`.
    """
    y = layer_norm(x, f"{name}_attention_norm")
    y = SelfAttention(heads, **attention, name=f"{name}_attention")(y)
    y = _drop(y, drop_path, f"{name}_attention_path", whole=True)
    x = add([x, y], f"{name}_attention_add")
    y = layer_norm(x, f"{name}_mlp_norm")
    y = dense(y, hidden, f"{name}_mlp_1", activation="gelu")
    y = _drop(y, dropout, f"{name}_mlp_1_drop")
    y = dense(y, x.shape[-1], f"{name}_mlp_2")
    y = _drop(y, dropout, f"{name}_mlp_2_drop")
    y = _drop(y, drop_path, f"{name}_mlp_path", whole=True)
    return add([x, y], f"{name}_mlp_add")


def _drop(x, rate, name, whole=False):
    if not rate:
        return x
    shape = (None, *(1 for _ in x.shape[1:])) if whole else None
    return layers.Dropout(rate, noise_shape=shape, name=name)(x)


def dimensions_of(x):
    """Return 2 for images, 3 for volumes."""
    return len(x.shape) - 2
