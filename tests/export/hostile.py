"""Bytes and arrays that nobody should send to a server, and some odd ones."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encode(pixels, format="PNG", **options):
    """An array of 8 or 16 bits, or a Pillow image, as the bytes of a file."""
    if isinstance(pixels, np.ndarray):
        pixels = Image.fromarray(pixels)
    buffer = io.BytesIO()
    pixels.save(buffer, format, **options)
    return buffer.getvalue()


def png_of_size(height, width):
    """A whole PNG of one colour, a few kilobytes for any size."""
    row = zlib.compressobj(9)
    packed = b"".join(row.compress(bytes(width + 1)) for _ in range(height))
    packed += row.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def hostile_files():
    """Files that no image comes of, and the words that say why."""
    whole = encode(np.full((40, 40, 3), 128, "uint8"))
    photo = encode(np.full((40, 40, 3), 128, "uint8"), "JPEG")
    bitmap = encode(np.full((40, 40, 3), 128, "uint8"), "BMP")
    palette = Image.fromarray(np.arange(100, dtype="uint8").reshape(10, 10))
    palette.putpalette(bytes(range(255, -1, -1)) * 3)
    unknown = "whole bytes of a PNG, JPEG or BMP"
    return {
        "text": (b"not an image at all. " * 9, unknown),
        "nothing": (b"", unknown),
        "a GIF": (encode(palette, "GIF"), unknown),
        "a PNG cut short": (whole[:90], "PNG"),
        "a PNG's beginning": (whole[:20], unknown),
        "a JPEG cut short": (photo[: len(photo) // 2], "JPEG"),
        "a JPEG's beginning": (photo[:60], "JPEG"),
        "a BMP cut short": (bitmap[:2000], "Input size should match"),
        "a BMP with a palette": (encode(palette, "BMP"), "Save it as PNG"),
        "20000x20000": (png_of_size(20000, 20000), "Cut it into tiles"),
        "a bomb": (png_of_size(8000, 8000), "cut them into tiles"),
        "no pixels": (png_of_size(0, 0), "1 to 16384"),
    }


def odd_files():
    """Files with an answer, though not of the usual kind."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (21, 34), "uint8")
    colour = rng.integers(0, 256, (21, 34, 3), "uint8")
    alpha = rng.integers(0, 256, (21, 34, 4), "uint8")
    image = Image.fromarray(colour)
    return {
        "grey": encode(grey),
        "grey and alpha": encode(Image.fromarray(alpha).convert("LA")),
        "colour and alpha": encode(alpha),
        "16 bits": encode(rng.integers(0, 65536, (21, 34), "uint16")),
        "1 bit": encode(image.convert("1")),
        "a palette": encode(image.quantize(17)),
        "a clear colour": encode(image.quantize(17), transparency=3),
        "one pixel": encode(colour[:1, :1]),
        "one row": encode(colour[:1]),
        "JPEG": encode(colour, "JPEG"),
        "grey JPEG": encode(grey, "JPEG"),
        "CMYK JPEG": encode(image.convert("CMYK"), "JPEG"),
        "progressive JPEG": encode(colour, "JPEG", progressive=True),
        "BMP": encode(colour, "BMP"),
        "grey BMP": encode(grey, "BMP"),
        "BMP and alpha": encode(alpha, "BMP"),
    }


def hostile_arrays(height, width, channels):
    """Arrays that are no images, and the words that say why."""
    good = np.full((1, height, width, channels), 0.5, "float32")
    nan, above, below = good.copy(), good.copy(), good.copy()
    nan[0, 0, 0, 0], above[0, 0, 0, 0], below[0, 0, 0, 0] = np.nan, 1.1, -0.1
    shape, values = "not compatible with expected", r"floats in \[0, 1\]"
    return {
        "NaN": (nan, values),
        "infinity": (good + np.inf, values),
        "above 1": (above, values),
        "below 0": (below, values),
        "8 bits": (255 * good, values),
        "another size": (good[:, :-1], shape),
        "other channels": (good[..., :1], shape),
        "rank 3": (good[0], shape),
        "rank 5": (good[None], shape),
        "no image": (good[:0], "must hold an image"),
    }
