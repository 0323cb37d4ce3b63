"""Decoding and resizing of images, as TensorFlow operations.

`dca_keras.data` uses Pillow; a graph that is served without Python can't. The
pixels and the bilinear weights are the same.
"""

import tensorflow as tf

LARGEST_SIDE = 2**14
_SHORTEST_HEADER = 54  # Of the three formats, with all that is read here.


def require(condition, message, *values):
    """End the request with `message` unless `condition` holds."""
    return tf.debugging.Assert(condition, [message, *values], name="require")


def image_size(data):
    """Return the size of an encoded image, from its header alone.

    Args:
        data: A scalar string: a PNG, JPEG or BMP file.

    Returns:
        `(2,)`, int32: height and width.
    """
    starts = _starts(data)
    with tf.control_dependencies([_require_known(data, starts)]):
        size = tf.case(
            [
                (starts["png"], lambda: _integers(data, 16, "big")[::-1]),
                (starts["jpeg"], lambda: tf.io.extract_jpeg_shape(data)[:2]),
            ],
            # A negative height means that rows run downwards.
            default=lambda: tf.abs(_integers(data, 18, "little")[::-1]),
        )
    message = (
        f"An image must have sides of 1 to {LARGEST_SIDE} pixels. Cut it "
        "into tiles. Received (height, width):"
    )
    fits = tf.reduce_all((size >= 1) & (size <= LARGEST_SIDE))
    with tf.control_dependencies([require(fits, message, size)]):
        return tf.ensure_shape(size, [2])


def decode_image(data, channels):
    """Decode an image; check its `image_size` first.

    Args:
        data: A scalar string: a PNG, JPEG or BMP file.
        channels: 3 repeats grey images; 1 takes the luma of coloured images.

    Returns:
        `(height, width, channels)`, float32 in [0, 1], without alpha, and
        with the colours of a PNG's palette.
    """
    starts = _starts(data)
    image = tf.case(
        [
            (starts["png"], lambda: _decode_png(data)),
            (starts["jpeg"], lambda: _decode_jpeg(data)),
        ],
        default=lambda: _decode_bmp(data),
    )
    if channels == 1:
        luma = tf.constant([[0.299], [0.587], [0.114]])
        image = tf.tensordot(image, luma, 1)
    return image


def resize(image, size):
    """Resize `(height, width, channels)` to `size`, `(height, width)`.

    Bilinear, and antialiased if it shrinks. `tf.image.resize` differs from
    Pillow by 1e-5, these weights only in the last bit.
    """
    shape = tf.shape(image)
    down, across = (_weights(shape[axis], size[axis]) for axis in (0, 1))
    image = tf.einsum("xw,hwc->hxc", across, image)
    return tf.einsum("yh,hxc->yxc", down, image)


def _weights(before, after):
    """Return bilinear weights, `(after, before)`; rows sum to 1."""
    scale = tf.cast(before, tf.float64) / tf.cast(after, tf.float64)
    centres = (tf.cast(tf.range(after), tf.float64) + 0.5) * scale
    pixels = tf.cast(tf.range(before), tf.float64) + 0.5
    distance = tf.abs(centres[:, None] - pixels) / tf.maximum(scale, 1.0)
    weights = tf.nn.relu(1.0 - distance)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    return tf.cast(weights, tf.float32)


def _starts(data):
    def is_start(mark):
        return tf.equal(_cut(data, 0, len(mark)), mark)

    return {
        "png": is_start(b"\x89PNG\r\n\x1a\n"),
        "jpeg": is_start(b"\xff\xd8\xff"),
        "bmp": is_start(b"BM"),
    }


def _require_known(data, starts):
    known = tf.reduce_any(list(starts.values()))
    whole = tf.strings.length(data) >= _SHORTEST_HEADER
    return require(
        known & whole,
        "An image must be the whole bytes of a PNG, JPEG or BMP file. "
        "Received something else, so many bytes long:",
        tf.strings.length(data),
    )


def _decode_png(data):
    pixels = tf.io.decode_png(data, channels=3, dtype=tf.uint16)
    return tf.cast(pixels, tf.float32) / 65535.0


def _decode_jpeg(data):
    # The decoder that Pillow uses; TensorFlow's usual one is less exact.
    pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.cast(pixels, tf.float32) / 255.0


def _decode_bmp(data):
    """Decode a BMP of a kind that TensorFlow decodes correctly.

    It takes a palette for shades and compressed data for pixels.
    """
    header = _integers(data, 14, "little")[0]
    bits = _integers(data, 28, "little", tf.uint16)[0]
    compression = _integers(data, 30, "little")[0]
    shades = tf.repeat(tf.range(256), 4)
    shades = tf.where(tf.range(1024) % 4 == 3, 0, shades)
    palette = tf.io.decode_raw(_cut(data, 14 + header, 1024), tf.uint8)
    is_grey = tf.cond(
        tf.equal(tf.size(palette), 1024),
        lambda: tf.reduce_all(tf.cast(palette, tf.int32) == shades),
        lambda: tf.constant(False),
    )
    coloured = (bits == 24) | (bits == 32)
    plain = (
        (header >= 40)
        & (compression == 0)
        & (coloured | ((bits == 8) & is_grey))
    )
    message = (
        "A BMP must be uncompressed, with 24 or 32 bits a pixel or 8 of grey. "
        "Save it as PNG. Received (bits, compression):"
    )
    with tf.control_dependencies([require(plain, message, bits, compression)]):
        pixels = tf.cast(tf.io.decode_bmp(data), tf.float32) / 255.0
    three = tf.minimum(tf.shape(pixels)[-1], 3)
    pixels = tf.repeat(pixels[..., :three], 3 // three, axis=-1)
    return tf.ensure_shape(pixels, [None, None, 3])


def _integers(data, start, order, dtype=tf.int32):
    """Return two integers of a header, or four of 16 bits."""
    return tf.io.decode_raw(
        _cut(data, start, 8), dtype, little_endian=order == "little"
    )


def _cut(data, start, length):
    """Return a part of a string, shorter if the string ends before it."""
    start = tf.minimum(start, tf.strings.length(data))
    return tf.strings.substr(data, start, length)
