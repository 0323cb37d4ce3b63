"""What a page draws and says of what was found."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dca_keras._drawing import CLASS_COLOURS
from dca_keras.app import _texts as texts
from dca_keras.app._cases import Finding, Look
from dca_keras.app._pictures import Canvas, find_reach
from dca_keras.app._view import (
    ATTENTION,
    MASK,
    PROBABILITY,
    View,
    fullest_slice,
    show,
)

RNG = np.random.default_rng(0)
COLOURS = [tuple(bytes.fromhex(colour[1:])) for colour in CLASS_COLOURS]
NAMES = {1: "front <b>", 2: "back"}


def make_finding(shape=(3, 40, 48), spacing=None):
    mask = RNG.integers(0, 3, shape).astype("uint8")
    mask[0] = 0
    return Finding(
        files=(),
        picture=RNG.integers(0, 256, (*shape, 3)).astype("uint8"),
        mask=mask,
        probabilities=RNG.integers(0, 256, (*shape, 3)).astype("uint8"),
        spacing=spacing,
        is_stack=shape[0] > 1,
        plan="whole",
        mask_file=Path("brain_mask.nii.gz"),
    )


def make_case(finding, **looks):
    return SimpleNamespace(
        name="brain.nii.gz", findings={"a": finding, "b": finding}, looks=looks
    )


def middles(picture, finding):
    """The picture's pixels in the middle of the image's."""
    sides = finding.mask.shape[1:]
    rows, columns = (
        ((np.arange(side) + 0.5) * large / side).astype(int)
        for side, large in zip(sides, picture.shape[:2], strict=True)
    )
    return picture[np.ix_(rows, columns)]


def test_an_opaque_mask_has_the_colours_of_its_classes():
    finding = make_finding()
    shown = show(make_case(finding), "a", NAMES, View(opacity=1, index=2))
    assert shown.picture.shape == (440, 528, 3)
    seen, mask = middles(shown.picture, finding), finding.mask[2]
    for index in (1, 2):
        assert (seen[mask == index] == COLOURS[index - 1]).all()
    np.testing.assert_array_equal(
        seen[mask == 0], finding.picture[2][mask == 0]
    )
    assert shown.says == "Mask of a over brain.nii.gz, slice 2"


@pytest.mark.parametrize("kind", [MASK, PROBABILITY, ATTENTION])
def test_without_opacity_the_image_is_bare(kind):
    finding = make_finding((1, 40, 48))
    view = View(kind=kind, opacity=0)
    shown = show(make_case(finding), "a", NAMES, view)
    seen = middles(shown.picture, finding)
    np.testing.assert_array_equal(seen, finding.picture[0])


def test_probabilities_are_those_of_the_class():
    finding = make_finding((1, 40, 48))
    finding.probabilities[..., 2] = 0
    finding.probabilities[0, 5, 7, 2] = 255
    view = View(kind=PROBABILITY, opacity=1, class_index=2)
    shown = show(make_case(finding), "a", NAMES, view)
    seen = middles(shown.picture, finding).astype(int).sum(axis=-1)
    assert np.argwhere(seen > 400).tolist() == [[5, 7]]
    assert "Probability of back" in shown.legend


def look_at(at, maps, box):
    return Look(at, np.asarray(maps, "float32"), box)


def test_attention_lies_where_the_model_looked():
    finding = make_finding()
    maps = np.ones((2, 2, 2))
    maps[:, 0, 1] = 4
    look = look_at((20, 30, 1), maps, ((1, 2), (8, 40), (16, 48)))
    case = make_case(finding, a=look, b="b has no attention.")
    view = View(kind=ATTENTION, opacity=1, index=1)
    shown = show(case, "a", NAMES, view)
    seen = middles(shown.picture, finding).astype(int)
    bare = finding.picture[1]
    np.testing.assert_array_equal(seen[:8], bare[:8])
    np.testing.assert_array_equal(seen[:, :16], bare[:, :16])
    # Orange is four times as much; an even look has no colour.
    red, green, blue = np.moveaxis(seen[8:24, 32:48], -1, 0)
    assert (red > blue + 50).all()
    even = seen[8:24, 22:32]
    assert (np.ptp(even, axis=-1) < 5).all()
    assert "x 20, y 30, slice 1" in shown.legend
    assert "<span>0.25</span><span>1</span><span>4</span>" in shown.legend
    # It belongs to one slice.
    other = show(case, "a", NAMES, view._replace(index=2))
    np.testing.assert_array_equal(
        middles(other.picture, finding), finding.picture[2]
    )
    missing = show(case, "b", NAMES, view)
    assert "b has no attention." in missing.legend


def test_attention_of_a_volume_and_of_a_stage():
    finding = make_finding((4, 40, 48))
    maps = np.ones((2, 2, 1, 1))
    maps[1, 1] = 4
    look = look_at((0, 0, 0), maps, ((0, 4), (0, 40), (0, 48)))
    case = make_case(finding, a=look)

    def redness(**view):
        view = View(kind=ATTENTION, opacity=1, **view)
        picture = show(case, "a", NAMES, view).picture.astype(int)
        return (picture[..., 0] - picture[..., 2]).mean()

    assert redness(index=3, stage=1) > 40
    assert redness(index=3) > 40
    assert redness(index=3, stage=1) != redness(index=3)
    assert redness(index=3, stage=0) == pytest.approx(0, abs=3)
    assert redness(index=0, stage=1) == pytest.approx(0, abs=3)


def test_one_scale_for_all_models():
    box = ((0, 1), (0, 1))
    even, strong = (look_at((0, 0), [[[x]]], box) for x in (1, 8))
    assert find_reach([even, strong]) == pytest.approx(3)
    assert find_reach([even]) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("shape", "spacing", "sides"),
    [
        ((1, 40, 48), None, (440, 528)),
        ((1, 3000, 1500), None, (1024, 512)),
        ((1, 600, 500), None, (600, 500)),
        ((5, 30, 40), (9, 2, 1), (540, 360)),
        ((1, 1, 1), None, (512, 512)),
    ],
)
def test_pictures_have_a_sensible_size_and_square_pixels(shape, spacing, sides):
    canvas = Canvas(make_finding(shape, spacing), 0)
    assert canvas.mask(0.5).shape == (*sides, 3)
    if max(sides) / max(shape) > 1:
        for at in ((0, 0), (shape[2] - 1, shape[1] - 1)):
            assert canvas.to_pixel(canvas.from_pixel(at)) == at
        assert canvas.to_pixel((10**6, -3)) == (shape[2] - 1, 0)


def test_texts():
    finding = make_finding((3, 40, 48), (2, 1, 1))
    legend = texts.mask_legend(finding, NAMES)
    assert "front &lt;b&gt;" in legend
    millilitres = 2 * (finding.mask == 2).sum() / 1000
    assert f"back: {millilitres:.2f} mL" in legend
    assert "48×40 voxels, 3 slices" in texts.heading(
        make_case(finding), finding
    )
    assert fullest_slice(finding) in (1, 2)
    broken = make_case("a<b>.png is broken")
    shown = show(broken, "a", NAMES, View())
    assert shown.picture is None
    assert 'role="alert"' in shown.legend
    assert "a&lt;b&gt;.png" in shown.legend
