"""The page says what was scored, and can be trusted with any name."""

import base64
import dataclasses
import html.parser
import io

import numpy as np
import pytest
from PIL import Image

from dca_keras.data import Sample
from dca_keras.evaluation import evaluate_on
from dca_keras.evaluation._wording import find_warnings, name_data, name_model
from tests.evaluation.test_evaluation import Brightness, volume_samples

VOID = {"meta", "img", "br"}
NASTY = "<script>alert('x')</script>&\"quoted\".png"


class Page(html.parser.HTMLParser):
    """What is in a page; fails where elements are not nested."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.images, self.links = [], [], [], []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.images += [values["src"]] if tag == "img" else []
        self.links += [v for k, v in attributes if k in ("href", "src")]
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


def score(output, samples, history=None, **facts):
    return evaluate_on(
        Brightness(0.2, 0.6),
        samples,
        output,
        image_size=(12, 12),
        batch_size=3,
        facts={"model": "unet", "data": "synapse", "split": "test"} | facts,
        history=history,
    )


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    output = tmp_path_factory.mktemp("scored")
    samples = volume_samples((5.0, 0.5, 1.0))
    first = dataclasses.replace(samples[0], name=NASTY)
    history = {"epoch": [1.0, 2.0], "val_dice": [0.5, 0.7]}
    result = score(
        output,
        [first, *samples[1:]],
        history,
        protocol="paper",
        dca=True,
        command=f"dca-keras train {NASTY}",
        recipe={"data_dir": NASTY, "seed": 3},
    )
    text = (output / "report.html").read_text(encoding="utf-8")
    return result, text, Page(text)


def test_the_page_needs_no_other_file_and_runs_nothing(scored):
    _, text, page = scored
    assert "script" not in page.tags
    assert "default-src 'none'" in text
    assert page.links == page.images
    assert all(src.startswith("data:image/png;base64,") for src in page.links)


def test_names_are_escaped(scored):
    _, text, page = scored
    assert "<script" not in text
    assert f"dca-keras train {NASTY}" in page.text


def test_the_pictures_are_whole(scored):
    _, _, page = scored
    # Two charts, and image, truth, prediction and outlines of three images.
    assert len(page.images) == 2 + 4 * 3
    for source in page.images:
        data = base64.b64decode(source.partition(",")[2], validate=True)
        with Image.open(io.BytesIO(data)) as picture:
            assert np.ptp(np.asarray(picture)) > 100


def test_the_tables_hold_the_scores(scored):
    result, _, page = scored
    for summary in (result, result["over_cases"]):
        for group in ("foreground", "with_background"):
            assert f"{summary[group]['dice']['mean']:.3f}" in page.text
            assert f"{summary[group]['hd95']['mean']:.2f}" in page.text
        low, high = summary["foreground"]["iou"]["interval"]
        assert f"{low:.3f} to {high:.3f}" in page.text
    assert "Over the 2 cases" in page.text
    assert "Over the 7 images" in page.text
    assert "millimetres" in page.text
    assert f"{result['published']['dsc']:.4f}" in page.text
    undefined = result["foreground"]["hd95"]["undefined"]
    assert undefined > 0
    assert f"undefined in {undefined}" in page.text
    assert "gallbladder" not in page.text  # Other classes than Synapse's.
    assert "aorta" not in page.text


def test_warnings_stand_on_the_page(scored):
    result, _, page = scored
    assert len(find_warnings(result)) == 2
    for warning in find_warnings(result):
        assert warning in page.text


WARNINGS = [
    ("held_out", "test", 50, ""),
    ("held_out", "val", 50, "epoch was chosen on"),
    ("held_out", "train", 50, "was trained on these"),
    ("paper", "test", 50, "as in the paper"),
    ("paper", "train", 50, "was trained on these"),
    (None, "test", 50, "is not recorded"),
    ("held_out", "test", 49, "only 49 cases"),
    ("held_out", "test", 9, "only 9 cases"),
    ("held_out", "test", 1, "is only 1 case:"),
]


@pytest.mark.parametrize("protocol, split, cases, expected", WARNINGS)
def test_warns_of_scores_that_say_little(protocol, split, cases, expected):
    result = {"protocol": protocol, "split": split, "cases": cases}
    found = find_warnings(result)
    assert len(found) == bool(expected)
    assert expected in "".join(found)


@pytest.mark.parametrize(
    "protocol, split", [("paper", "test"), ("held_out", "val")]
)
def test_no_images_chose_the_last_epoch(protocol, split):
    result = {"split": split, "protocol": protocol, "cases": 50}
    assert len(find_warnings(result)) == 1
    assert not find_warnings(result | {"epoch": "last"})


NAMES = [
    ({"model": "unet", "dca": False}, "unet"),
    ({"model": "unet", "dca": True}, "unet with DCA"),
    ({"model": "unet", "variant": "plain"}, "unet"),
    ({"model": "unet", "variant": "dca_channel"}, "unet with DCA's channel"),
    ({"model": "unet", "variant": "new"}, "unet (new)"),
    ({"model": "unet", "dca": True, "epoch": "best"}, "unet with DCA"),
    (
        {"model": "unet", "dca": 1, "epoch": "last"},
        "unet with DCA at the last epoch",
    ),
]


@pytest.mark.parametrize("result, expected", NAMES)
def test_names_the_model(result, expected):
    assert name_model(result).startswith(expected)


def test_names_the_data():
    assert name_data({"data": "glas", "recipe": {"data_dir": "x"}}) == "glas"
    own = {"data": "image_folder", "recipe": {"data_dir": "cells"}}
    assert name_data(own) == "cells"
    assert name_data({"data": "image_folder"}) == "image_folder"


def test_shows_images_that_tell_something(tmp_path):
    """An image without anything, rightly found, is not the best one."""
    samples = volume_samples(None)
    empty = np.zeros((24, 12, 3), "float32"), np.zeros((24, 12, 1), "int32")
    nothing = Sample("nothing", "nothing", lambda: empty)
    score(tmp_path, [nothing, *samples])
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert ": nothing" not in page.text
    assert "best, Dice" in page.text


def test_one_image_makes_a_page_without_intervals(tmp_path):
    result = score(tmp_path, volume_samples(None)[:1])
    assert result["foreground"]["dice"]["interval"] is None
    assert result["intervals"] == {"dice": None, "iou": None}
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Scored on 1 image, the test split" in page.text
    assert f"{result['foreground']['dice']['mean']:.3f}" in page.text
    assert " to " not in page.text.partition("Over the 1 image")[2][:200]
