import dataclasses
import json

import numpy as np
import pytest
from PIL import Image, ImageColor

from dca_keras._drawing import CLASS_COLOURS
from dca_keras.data import (
    read_dataset,
    save_contact_sheet,
    summarize,
)

SAMPLES = read_dataset("synthetic", image_side=48, num_classes=3).test


def grey(sample):
    """Another size, one channel and no foreground."""
    pair = np.zeros((20, 30, 1), "float32"), np.zeros((20, 30, 1), "int32")
    return dataclasses.replace(sample, case="grey", load=lambda: pair)


def test_summary():
    samples = (*SAMPLES[:5], grey(SAMPLES[5]), grey(SAMPLES[6]))
    found = json.loads(json.dumps(summarize(samples)))
    shares = found.pop("class_shares")
    assert found == {
        "images": 7,
        "cases": 6,
        "channels": [1, 3],
        "sizes": {"48x48": 5, "20x30": 2},
        "empty_masks": 2,
    }
    assert sum(shares.values()) == pytest.approx(1)
    nuclei = sum(np.sum(s.load()[1] == 1) for s in SAMPLES[:5])
    assert shares["1"] == pytest.approx(nuclei / (5 * 48 * 48 + 2 * 20 * 30))


def test_contact_sheet(tmp_path):
    path = tmp_path / "sheets" / "test.png"
    save_contact_sheet(SAMPLES, path, count=8, columns=5, side=48)
    with Image.open(path) as sheet:
        assert sheet.size == (5 * 52 + 4, 2 * 52 + 4)
        pixels = np.asarray(sheet)
    image, mask = SAMPLES[0].load()
    drawn = pixels[4:52, 4:52]
    inside = mask[..., 0] == 0
    np.testing.assert_array_equal(
        drawn[inside], (image * 255).astype("uint8")[inside]
    )
    colour = ImageColor.getrgb(CLASS_COLOURS[0])
    assert (pixels == colour).all(-1).any()
    save_contact_sheet([grey(SAMPLES[0])], path, side=48)
    assert Image.open(path).size == (56, 56)
    with pytest.raises(ValueError, match="`samples` is empty"):
        save_contact_sheet([], path)
