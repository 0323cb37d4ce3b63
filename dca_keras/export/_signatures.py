"""The signatures of a served model, as TensorFlow functions.

They check requests themselves, so that a server without this package reports
what is wrong with one and answers the next.
"""

import math

import tensorflow as tf

from dca_keras.export._image_files import (
    decode_image,
    image_size,
    require,
    resize,
)

LARGEST_BATCH = 2**21  # Pixels or voxels of a request, as the model sees it.
LARGEST_FILES = 2**24  # Pixels of a request's encoded images.
SLACK = 1e-6  # How far rounding may take a value above 1 or below 0.


class Endpoints:
    """The functions behind a model's signatures.

    Args:
        model: A `keras.Model` that returns probabilities.
        step: Number that open sides of images must be multiples of; `None` if
            no side is open.
        size: `(height, width)` that encoded images are resized to; `None` for
            no signatures of encoded images.
    """

    def __init__(self, model, step, size):
        self.model = model
        self.step = step
        self.size = size
        self.shape = (None, *model.input_shape[1:])
        # One function for all signatures: the graph holds the model once.
        self._predict = tf.function(
            lambda images: model(images, training=False),
            input_signature=[tf.TensorSpec(self.shape)],
        )

    def specs(self):
        """Return the argument of each signature, a `tf.TensorSpec` by name."""
        specs = {"serving_default": tf.TensorSpec(self.shape, name="images")}
        if self.size is not None:
            files = tf.TensorSpec((None,), tf.string, "image_bytes")
            specs["image_bytes"] = files
            if self.model.output_shape[-1] <= 256:  # A PNG holds no more.
                specs["mask_png"] = files
        return specs

    def serving_default(self, images):
        """Return the probabilities of images, floats in [0, 1]."""
        # A server doesn't compare tensors with the signature.
        images = tf.ensure_shape(images, self.shape)
        inside = (images >= -SLACK) & (images <= 1 + SLACK)  # NaN is neither.
        with tf.control_dependencies(
            [
                require(
                    tf.reduce_all(inside),
                    "`images` must be floats in [0, 1], without NaN; divide "
                    "8-bit values by 255. Received values from and to:",
                    tf.reduce_min(images),
                    tf.reduce_max(images),
                )
            ]
        ):
            return {"probabilities": self._run(tf.identity(images))}

    def image_bytes(self, image_bytes):
        """Return classes and probabilities of files, at the images' sizes.

        The arrays of smaller images are padded with zeros, on the right and
        at the bottom; `sizes` has the height and width of each.
        """
        sizes, probabilities = self._segment(image_bytes)
        largest = tf.reduce_max(sizes, axis=0)

        def enlarge(one):
            size, probabilities = one
            rest = tf.pad((largest - size)[:, None], [[0, 1], [1, 0]])
            return tf.pad(resize(probabilities, size), rest)

        classes = self.model.output_shape[-1]
        probabilities = tf.map_fn(
            enlarge,
            (sizes, probabilities),
            fn_output_signature=tf.TensorSpec((None, None, classes)),
        )
        return {
            "classes": _to_classes(probabilities),
            "probabilities": probabilities,
            "sizes": sizes,
        }

    def mask_png(self, image_bytes):
        """Return masks of files, as PNG files of the images' sizes."""
        factor = 255 if self.model.output_shape[-1] == 1 else 1

        def encode(one):
            size, probabilities = one
            mask = factor * _to_classes(resize(probabilities, size))
            return tf.io.encode_png(tf.cast(mask, tf.uint8)[..., None])

        masks = tf.map_fn(
            encode,
            self._segment(image_bytes),
            fn_output_signature=tf.TensorSpec((), tf.string),
        )
        return {"mask_bytes": masks}

    def _run(self, images):
        batch, *sides = tf.unstack(tf.shape(images, tf.int64)[:-1])
        pixels = batch * math.prod(sides)
        checks = [
            require(
                (pixels > 0) & (pixels <= LARGEST_BATCH),
                "A request must hold an image, and at most "
                f"{LARGEST_BATCH} pixels. Received (batch, *sides):",
                batch,
                *sides,
            )
        ]
        if self.step is not None:
            whole = [tf.equal(side % self.step, 0) for side in sides]
            checks.append(
                require(
                    tf.reduce_all(whole),
                    f"The sides of `images` must be multiples of {self.step}. "
                    "Pad or resize them. Received:",
                    *sides,
                )
            )
        with tf.control_dependencies(checks):
            return self._predict(tf.identity(images))

    def _segment(self, files):
        """Return the images' sizes, and probabilities at the model's size."""
        files = tf.ensure_shape(files, (None,))
        sizes = tf.map_fn(
            image_size, files, fn_output_signature=tf.TensorSpec(2, tf.int32)
        )
        largest = tf.cast(tf.reduce_max(sizes, axis=0), tf.int64)
        pixels = tf.shape(files, tf.int64)[0] * tf.reduce_prod(largest)
        channels = self.model.input_shape[-1]
        with tf.control_dependencies(
            [
                require(
                    pixels <= LARGEST_FILES,
                    f"The images of a request, each padded to the largest, "
                    f"must be at most {LARGEST_FILES} pixels. Send fewer, or "
                    "cut them into tiles. Received:",
                    pixels,
                )
            ]
        ):
            images = tf.map_fn(
                lambda file: resize(decode_image(file, channels), self.size),
                tf.identity(files),
                fn_output_signature=tf.TensorSpec((*self.size, channels)),
            )
        return sizes, self._run(images)


def _to_classes(probabilities):
    if probabilities.shape[-1] == 1:
        return tf.cast(probabilities[..., 0] > 0.5, tf.int32)
    return tf.argmax(probabilities, axis=-1, output_type=tf.int32)
