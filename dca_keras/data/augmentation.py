"""The paper's augmentation, the same motion for an image and its mask."""

import contextlib
import itertools
import math

import keras
import tensorflow as tf

PROBABILITY = 0.2
MAX_ANGLE = math.pi / 3


def augment(image, mask, seed):
    """Rotate by up to 60° and flip both ways, each with probability 0.2.

    Pixels that come from outside are 0. The image is sampled bilinearly, the
    mask by nearest; flips alone are exact.

    Args:
        image: Float tensor (height, width, channels).
        mask: Integer tensor (height, width, 1).
        seed: Integer tensor (2,). One seed is one motion.

    Returns:
        The moved image and mask, of the same shapes and dtypes.
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
    """Let `function({"images", "segmentation_masks"}, seed)` augment.

    Returns:
        A function like `augment`.
    """

    def motion(image, mask, seed):
        pair = {"images": image, "segmentation_masks": mask}
        pair = function(pair, seed=seed)
        moved, moved_mask = pair["images"], pair["segmentation_masks"]
        return (
            tf.ensure_shape(tf.cast(moved, image.dtype), image.shape),
            tf.ensure_shape(tf.cast(moved_mask, mask.dtype), mask.shape),
        )

    return motion


def with_layer(layer):
    """Let a Keras layer augment, its random numbers set by the seed.

    Returns:
        A function like `augment`.
    """

    def call(pair, seed):
        seeds = (
            tf.random.experimental.stateless_fold_in(seed, number)
            for number in itertools.count()
        )
        for state in _random_states(layer):
            draws = tf.random.stateless_uniform(
                state.shape, next(seeds), 0, 2**31 - 1, "int64"
            )
            state.assign(tf.cast(draws, state.dtype))
        with _stateless_draws(seeds):
            return layer(pair, training=True)

    return with_callable(call)


@contextlib.contextmanager
def _stateless_draws(seeds):
    """While a layer is traced, let TensorFlow's own draws take `seeds`.

    Some of keras-cv's layers draw with `tf.random.uniform`, whose stream
    depends on what was drawn before and so can't be taken up in the middle.
    """

    def seeded(draw):
        return lambda shape, *args, seed=None, **kwargs: draw(
            shape, next(seeds), *args, **kwargs
        )

    originals = tf.random.uniform, tf.random.normal
    tf.random.uniform = seeded(tf.random.stateless_uniform)
    tf.random.normal = seeded(tf.random.stateless_normal)
    try:
        yield
    finally:
        tf.random.uniform, tf.random.normal = originals


def _random_states(layer):
    """The variables from which a layer and its parts draw.

    On Keras's other backends a layer makes those of TensorFlow's anew for
    each graph, out of reach.
    """
    states = [
        value.state
        for part in layer._flatten_layers()
        for value in vars(part).values()
        if isinstance(value, keras.random.SeedGenerator | tf.random.Generator)
    ]
    states = [s.value if isinstance(s, keras.Variable) else s for s in states]
    return [state for state in states if isinstance(state, tf.Variable)]


def _rotate(tensor, angle, interpolation):
    """Turn (height, width, channels) about its centre, counterclockwise."""
    y, x = tf.unstack(tf.cast(tf.shape(tensor)[:2] - 1, "float32") / 2)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # How output (x, y) maps to input; the centre stays.
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
