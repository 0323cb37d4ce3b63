"""Augmentations that transform an image and its mask alike."""

import math

import keras
import tensorflow as tf

PROBABILITY = 0.2
MAX_ANGLE = math.pi / 3


def augment(
    image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Augment an image and its mask as the paper does.

    A rotation by up to 60°, a horizontal and a vertical flip happen with a
    probability of 0.2 each. Pixels from outside the image are 0. The image is
    interpolated bilinearly, the mask by nearest neighbour; flips alone are
    exact.

    Args:
        image: Float tensor (height, width, channels).
        mask: Integer tensor (height, width, 1).
        seed: Integer tensor (2,). Equal seeds give equal transforms.

    Returns:
        The transformed image and mask, of the same shapes and dtypes.
    """
    draws = tf.random.stateless_uniform((4,), seed)
    rotated, flipped_x, flipped_y = tf.unstack(draws[:3] < PROBABILITY)
    angle = (2 * draws[3] - 1) * MAX_ANGLE

    # Most samples are not rotated, and a flip costs next to nothing.
    image, mask = tf.cond(
        rotated,
        lambda: (
            _rotate(image, angle, "BILINEAR"),
            _rotate(mask, angle, "NEAREST"),
        ),
        lambda: (image, mask),
    )
    flips = tf.stack([flipped_y, flipped_x, False])
    return (
        tf.raw_ops.Reverse(tensor=image, dims=flips),
        tf.raw_ops.Reverse(tensor=mask, dims=flips),
    )


def with_callable(function):
    """Return a function like `augment` that calls another function.

    Args:
        function: Called with {"images", "segmentation_masks"} and a `seed`;
            returns the same dictionary.
    """

    def apply(image, mask, seed):
        pair = {"images": image, "segmentation_masks": mask}
        pair = function(pair, seed=seed)
        new_image, new_mask = pair["images"], pair["segmentation_masks"]
        return (
            tf.ensure_shape(tf.cast(new_image, image.dtype), image.shape),
            tf.ensure_shape(tf.cast(new_mask, mask.dtype), mask.shape),
        )

    return apply


def with_layer(layer):
    """Return a function like `augment` that calls a Keras layer.

    The seed sets the layer's random generators. What a layer draws without
    one, as some of keras-cv's do, is different every time.
    """

    def call(pair, seed):
        for number, state in enumerate(_random_states(layer)):
            draws = tf.random.stateless_uniform(
                state.shape,
                tf.random.experimental.stateless_fold_in(seed, number),
                *(0, 2**31 - 1, "int64"),
            )
            state.assign(tf.cast(draws, state.dtype))
        # Draws without a generator would otherwise be the same in each pass.
        tf.compat.v1.set_random_seed(None)
        return layer(pair, training=True)

    return with_callable(call)


def _random_states(layer):
    """The states of a layer's random generators and of its sublayers'.

    On Keras's other backends a layer creates those of TensorFlow again for
    each graph, out of reach.
    """
    states = [
        value.state
        for sublayer in layer._flatten_layers()
        for value in vars(sublayer).values()
        if isinstance(value, keras.random.SeedGenerator | tf.random.Generator)
    ]
    states = [s.value if isinstance(s, keras.Variable) else s for s in states]
    return [state for state in states if isinstance(state, tf.Variable)]


def _rotate(tensor, angle, interpolation):
    """Rotate (height, width, channels) counterclockwise about its centre."""
    y, x = tf.unstack(tf.cast(tf.shape(tensor)[:2] - 1, "float32") / 2)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Maps output (x, y) to input (x, y); the centre is fixed.
    matrix = [cos, -sin, x - cos * x + sin * y]
    matrix += [sin, cos, y - sin * x - cos * y, 0.0, 0.0]
    rotated = tf.raw_ops.ImageProjectiveTransformV3(
        images=tensor[None],
        transforms=tf.stack(matrix)[None],
        output_shape=tf.shape(tensor)[:2],
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )[0]
    return tf.ensure_shape(rotated, tensor.shape)
