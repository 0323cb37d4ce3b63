import numpy as np
import pytest
import tifffile
from PIL import Image

from dca_keras.data import read_image, read_mask, resize_image, resize_mask

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 10, 3), "uint8")
GREY = RGB[..., 0]
GREY_16 = RNG.integers(0, 65536, (12, 10), "uint16")
RGB_16 = RNG.integers(0, 65536, (12, 10, 3), "uint16")
BINARY = GREY > 127
INDICES = (GREY % 3).astype("uint8")
LUMA = np.array([0.299, 0.587, 0.114])


def paletted(indices, *colours):
    image = Image.fromarray(indices).convert("P")
    image.putpalette(np.ravel(colours).tolist())
    return image


def with_alpha(array):
    return np.dstack([array, RNG.integers(0, 256, array.shape[:2], "uint8")])


def write(path, content):
    """Write bytes, an array or a Pillow image."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, Image.Image):
        content.save(path)
    elif path.suffix == ".tif":
        colour = content.ndim == 3 and content.shape[-1] in (3, 4)
        tifffile.imwrite(
            path, content, photometric="rgb" if colour else "minisblack"
        )
    else:
        Image.fromarray(content).save(path)
    return path


IMAGES = {
    "rgb.png": (RGB, RGB / 255),
    "rgb.bmp": (RGB, RGB / 255),
    "rgb.ppm": (RGB, RGB / 255),
    "rgb.tif": (RGB, RGB / 255),
    "rgba.png": (with_alpha(RGB), RGB / 255),
    "rgba.tif": (with_alpha(RGB), RGB / 255),
    "rgb_16.tif": (RGB_16, RGB_16 / 65535),
    "rgb_float.tif": ((RGB / 255).astype("float32"), RGB / 255),
    "cmyk.tif": (Image.new("CMYK", (10, 12)), np.ones((12, 10, 3))),
    "grey.png": (GREY, GREY[..., None] / 255),
    "grey.gif": (GREY, GREY[..., None] / 255),
    "grey_alpha.png": (with_alpha(GREY), GREY[..., None] / 255),
    "grey_16.png": (GREY_16, GREY_16[..., None] / 65535),
    "grey_16.tif": (GREY_16, GREY_16[..., None] / 65535),
    "grey_16_big_endian.tif": (
        GREY_16.astype(">u2"),
        GREY_16[..., None] / 65535,
    ),
    "bilevel.png": (BINARY, BINARY[..., None]),
    "palette.png": (
        paletted(INDICES, *RGB[0, :3]),
        RGB[0, :3][INDICES] / 255,
    ),
    "palette.tif": (
        paletted(INDICES, *RGB[0, :3]),
        RGB[0, :3][INDICES] / 255,
    ),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", IMAGES)
def test_reads_images(tmp_path, name, channels):
    content, expected = IMAGES[name]
    image = read_image(write(tmp_path / name, content), channels)
    assert image.dtype == "float32"
    assert image.shape == (12, 10, channels)
    assert image.min() >= 0 and image.max() <= 1
    if channels == 1 and expected.shape[-1] == 3:
        expected = expected @ LUMA[:, None]
    expected = np.broadcast_to(expected, image.shape)
    np.testing.assert_allclose(image, expected, atol=1e-6)


def test_reads_jpeg(tmp_path):
    smooth = np.tile(np.linspace(0, 255, 32).astype("uint8"), (32, 1))
    path = write(tmp_path / "a.jpg", np.dstack([smooth] * 3))
    image = read_image(path)
    np.testing.assert_allclose(image[..., 1], smooth / 255, atol=0.02)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_reads_compressed_tiff(tmp_path, compression):
    path = tmp_path / "a.tif"
    Image.fromarray(RGB).save(path, compression=compression)
    np.testing.assert_allclose(read_image(path), RGB / 255, atol=1e-6)


def test_reads_planar_tiff(tmp_path):
    path = tmp_path / "a.tif"
    planes = np.ascontiguousarray(np.moveaxis(RGB, -1, 0))
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_allclose(read_image(path), RGB / 255, atol=1e-6)


WHITE, BLACK = (255, 255, 255), (0, 0, 0)
MASKS = {
    "bool.png": (BINARY, 1, BINARY),
    "bool.tif": (BINARY, 1, BINARY),
    "01.png": (BINARY.astype("uint8"), 1, BINARY),
    "01_float.tif": (BINARY.astype("float32"), 1, BINARY),
    "01_int.tif": (BINARY.astype("int32"), 1, BINARY),
    "0_255.png": (BINARY * np.uint8(255), 1, BINARY),
    "0_255.tif": (BINARY * np.uint8(255), 1, BINARY),
    "0_255.gif": (BINARY * np.uint8(255), 1, BINARY),
    "0_255_rgb.png": (np.dstack([BINARY * np.uint8(255)] * 3), 1, BINARY),
    "0_255_rgba.png": (
        with_alpha(np.dstack([BINARY * np.uint8(255)] * 3)),
        1,
        BINARY,
    ),
    "empty.png": (np.zeros((12, 10), "uint8"), 1, np.zeros((12, 10))),
    "full.png": (np.full((12, 10), 255, "uint8"), 1, np.ones((12, 10))),
    "white_first.png": (
        paletted(BINARY.astype("uint8"), WHITE, BLACK),
        1,
        ~BINARY,
    ),
    "palette_01.png": (
        paletted(BINARY.astype("uint8"), BLACK, (128, 0, 0)),
        1,
        BINARY,
    ),
    "lossy.jpg": (BINARY * np.uint8(255), 1, BINARY),
    "lossy_rgb.jpg": (np.dstack([BINARY * np.uint8(255)] * 3), 1, BINARY),
    "indices.png": (INDICES, 3, INDICES),
    "indices.tif": (INDICES, 3, INDICES),
    "indices_palette.png": (paletted(INDICES, *RGB[0, :3]), 3, INDICES),
    "indices_palette.tif": (paletted(INDICES, *RGB[0, :3]), 3, INDICES),
    "fewer_classes.png": (INDICES, 9, INDICES),
}


@pytest.mark.parametrize("name", MASKS)
def test_reads_masks(tmp_path, name):
    content, num_classes, expected = MASKS[name]
    mask = read_mask(write(tmp_path / name, content), num_classes)
    assert mask.dtype == "int32"
    np.testing.assert_array_equal(mask, expected[..., None])


def truncated(tmp_path, suffix):
    path = write(tmp_path / f"whole{suffix}", np.tile(RGB, (9, 9, 1)))
    content = path.read_bytes()
    return content[: len(content) // 2]


UNREADABLE = {
    "empty.png": (b"", "the file is empty"),
    "empty.tif": (b"", "the file is empty"),
    "text.png": (b"not an image", "cannot identify"),
    "text.tif": (b"not an image", "not a TIFF file"),
    **{
        f"truncated{suffix}": (suffix, reason)
        for suffix, reason in {
            ".png": "truncated",
            ".jpg": "truncated",
            ".bmp": "truncated",
            ".gif": "truncated",
            ".webp": "",
            ".tif": "failed to read",
        }.items()
    },
    "stack.tif": (np.zeros((5, 12, 10), "uint8"), "stack of 5 images"),
}


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("name", UNREADABLE)
def test_names_unreadable_files(tmp_path, name, read):
    content, reason = UNREADABLE[name]
    if isinstance(content, str):
        content = truncated(tmp_path, content)
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=f"{name} can't be read.*{reason}"):
        read(path)


def test_names_missing_files(tmp_path):
    with pytest.raises(ValueError, match=r"a\.png.*No such file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(ValueError, match="Is a directory|denied"):
        read_image(tmp_path)


def test_names_forbidden_files(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", RGB)

    def forbid(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", forbid)
    with pytest.raises(ValueError, match=r"a\.png.*Permission denied"):
        read_image(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("limit", [100, 40])
def test_refuses_decompression_bombs(tmp_path, monkeypatch, name, limit):
    path = write(tmp_path / name, RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=f"{name} can't be read.*pixels"):
        read_image(path)


HALF_NAN = np.where(BINARY, np.nan, 0).astype("float32")
WRONG_IMAGES = {
    "nan.tif": (HALF_NAN, "float32 values from nan to nan"),
    "hounsfield.tif": (GREY.astype("float32") - 99, "floats in .0, 1."),
    "int.tif": (GREY.astype("int32"), "int32 values"),
}


@pytest.mark.parametrize("name", WRONG_IMAGES)
def test_refuses_wrong_images(tmp_path, name):
    content, message = WRONG_IMAGES[name]
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=f"{name} holds.*{message}"):
        read_image(path)


def test_refuses_other_numbers_of_channels(tmp_path):
    path = write(tmp_path / "a.png", with_alpha(RGB))
    with pytest.raises(ValueError, match=r"a\.png .*has 3 channels, not 4"):
        read_image(path, 4)
    for channels in (0, 17, -1, 2.5):
        with pytest.raises(ValueError, match="`channels` must be from 1 to 16"):
            read_image(path, channels)
    assert read_image(path, None).shape == (12, 10, 3)


WRONG_MASKS = {
    "photo.png": (RGB, 1, "coloured image, not a mask"),
    "photo.jpg": (RGB, 1, "coloured image, not a mask"),
    "coloured.png": (RGB, 3, "coloured image, not a mask"),
    "grey.png": (GREY, 1, "holds the values .*, …. A mask of one class"),
    "three.png": (INDICES, 1, "holds the values 0, 1, 2. A mask of one"),
    "half.tif": (BINARY / np.float32(2), 1, "holds the values 0, 0.5. A"),
    "nan.tif": (HALF_NAN, 1, "holds the values 0, nan. A mask"),
    "indices.png": (INDICES, 2, "0, 1, 2. A mask of 2 classes .* 0 to 1"),
    "negative.tif": (INDICES.astype("int32") - 1, 3, "values -1, 0, 1"),
    "0_255.png": (BINARY * np.uint8(255), 2, "change `num_classes`"),
    "lossy.jpg": (INDICES, 3, "JPEG, which does not keep class indices"),
    "faint.jpg": (BINARY * np.uint8(100), 1, "holds the values"),
}


@pytest.mark.parametrize("name", WRONG_MASKS)
def test_refuses_wrong_masks(tmp_path, name):
    content, num_classes, message = WRONG_MASKS[name]
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=f"{name} .*{message}"):
        read_mask(path, num_classes)


def test_resizing_is_aligned_and_in_range():
    height, width = 48, 60
    mask = np.zeros((height, width, 1), "int32")
    mask[12:36, 20:40] = 2
    image = (mask / 2).astype("float32")
    for size in ((24, 30), (96, 120), (31, 47), (height, width)):
        small = resize_mask(mask, size)
        assert small.shape == (*size, 1) and small.dtype == "int32"
        assert set(np.unique(small)) == {0, 2}
        smooth = resize_image(image, size)
        assert smooth.shape == (*size, 1) and smooth.dtype == "float32"
        assert smooth.min() >= 0 and smooth.max() <= 1
        assert np.mean((smooth > 0.5) != (small > 0)) < 0.03


def test_shrinking_is_antialiased():
    stripes = np.zeros((32, 32, 3), "float32")
    stripes[:, ::2] = 1
    middle = resize_image(stripes, (8, 8))[:, 1:-1]
    np.testing.assert_allclose(middle, 0.5, atol=0.01)
