"""What the cards say is what `evaluate` wrote."""

import json
import pathlib
import re

import pytest

from dca_keras.zoo import list_models

ZOO = pathlib.Path(__file__).resolve().parents[1] / "zoo"
# The README's tables are written by a program, see test_reproduce.py.
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for name in list_models()
    for line in (ZOO / f"{name}.md").read_text(encoding="utf-8").splitlines()
    if line.endswith(".json` |")
]


def test_every_model_has_a_card_and_every_result_a_row():
    cards = {card.stem for card in ZOO.glob("*.md")}
    assert cards == {*list_models(), "README"}
    named = {row[-1].strip("`") for row in ROWS}
    # Those that have a recipe are in the README's tables.
    files = (ZOO / "results").glob("*seed?.json")
    assert named == {
        path.name
        for path in files
        if "recipe" not in json.loads(path.read_text())
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[-1].strip("`"))
def test_a_row_is_what_its_file_says(row):
    model, seed, dice, iou, best_epoch, name = row
    text = (ZOO / "results" / name.strip("`")).read_text(encoding="utf-8")
    result = json.loads(text)
    assert result["dca"] == (model == "with DCA")
    assert str(result["seed"]) == seed
    assert f"{result['dice']:.4f}" == dice
    assert f"{result['iou']:.4f}" == iou
    assert str(result["best_epoch"]) == best_epoch
    assert not re.search(r"/(work|root|home|tmp)/", text)
