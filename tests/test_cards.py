"""What the cards say is what `evaluate` wrote."""

import json
import pathlib
import re

import pytest

from dca_keras.zoo import list_models
from zoo_tables import HEADINGS

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


def test_the_table_of_chosen_and_last_epochs_is_what_its_files_say():
    text = (ZOO / "unet.md").read_text(encoding="utf-8")
    table = text.split("| chosen epoch |")[1].split("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) == 4
    for row in rows:
        heading, seeds, *cells = [x.strip() for x in row.strip("|").split("|")]
        (variant,) = [
            name
            for name, words in HEADINGS.items()
            if words.removesuffix(", ours") == heading
        ]
        for place, folder in ((0, ""), (2, "last_epoch/")):
            dsc = []
            for seed in seeds.split(", "):
                name = f"{folder}unet-{variant}-monuseg-bfloat16-seed{seed}"
                path = ZOO / "results" / f"{name}.json"
                dsc.append(json.loads(path.read_text())["published"]["dsc"])
            assert cells[place] == ", ".join(f"{x:.4f}" for x in dsc)
            assert cells[place + 1] == f"{sum(dsc) / len(dsc):.4f}"


@pytest.mark.parametrize("name", ["unet", "vnet"])
def test_the_papers_table_is_what_its_files_say(name):
    """Each seed's score, beside the paper's."""
    paper = json.loads((ZOO / "paper.json").read_text())
    text = (ZOO / f"{name}.md").read_text(encoding="utf-8")
    table = text.split("| published DSC | plain | with DCA |")[1]
    rows = table.split("\n\n")[0].splitlines()[2:]
    theirs, *ours = [[x.strip() for x in row.split("|")[1:-1]] for row in rows]
    ours = [row for row in ours if row[0].startswith("ours, seed ")]
    assert theirs[0] == "the paper, one training" and ours
    for place, variant in enumerate(("plain", "dca"), 1):
        assert theirs[place] == f"{paper[variant][name]['monuseg'][0]:.4f}"
        for row in ours:
            seed = row[0].removeprefix("ours, seed ")
            stem = f"{name}-{variant}-monuseg-paper-bfloat16-seed{seed}"
            result = json.loads((ZOO / "results" / f"{stem}.json").read_text())
            assert row[place] == f"{result['published']['dsc']:.4f}"
