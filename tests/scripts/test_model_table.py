"""The table that helps to choose a model says what the files of `zoo/` say."""

import json
import pathlib
import shutil

from dca_keras.zoo import list_models
from model_table import MARK, MISSING, make_table
from tests.zoo.test_models import MODELS

ROOT = pathlib.Path(__file__).resolve().parents[2]
ZOO = ROOT / "zoo"


def cells(table):
    """A dictionary from model and skips to the row's cells by heading."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.split(MARK)[0].strip().splitlines()
    ]
    assert len(set(rows[0])) == len(rows[0])
    return {
        (row[0].strip("`"), row[1]): dict(zip(rows[0], row, strict=True))
        for row in rows[2:]
    }


def test_the_page_has_what_the_command_writes():
    text = (ROOT / "docs" / "model_table.md").read_text(encoding="utf-8")
    assert text == make_table(ZOO), "run `python scripts/model_table.py`"
    found = cells(text)
    assert set(found) == {
        (n, s) for n in list_models() for s in ("plain", "DCA")
    }
    for name, counts in MODELS.items():
        for skips, count in zip(("plain", "DCA"), counts, strict=False):
            millions = found[name, skips]["M parameters"]
            assert millions == f"{count / 1e6:.1f}"


def test_what_was_not_measured_is_said_to_be_so(tmp_path):
    zoo = tmp_path / "zoo"
    shutil.copytree(ZOO, zoo)
    kept = "unet-plain-dsb2018-reduced-seed1.json"
    for path in (zoo / "results").glob("*.json"):
        if path.name != kept:
            path.unlink()
    benchmark = zoo / "benchmarks" / "models.json"
    rows = json.loads(benchmark.read_text())["rows"]
    rows = [row for row in rows if row["model"] != "vnet" or row["training"]]
    benchmark.write_text(json.dumps({"rows": rows}))
    found = cells(make_table(zoo))
    result = json.loads((zoo / "results" / kept).read_text())
    dice = result["over_cases"]["foreground"]["dice"]["mean"]
    assert found["unet", "plain"]["dsb2018, ours"] == f"{dice:.4f}"
    assert found["unet", "DCA"]["dsb2018, ours"] == MISSING
    assert found["vnet", "DCA"]["ms an image"] == MISSING
    step = next(row for row in rows if row["model"] == "vnet" and row["dca"])
    milliseconds = f"{1e3 * step['seconds']:.0f}"
    assert found["vnet", "DCA"]["ms a step"] == milliseconds
    assert "monuseg_512, ours" not in found["unet", "plain"]


def test_a_training_counts_once_in_any_number_format(tmp_path):
    zoo = tmp_path / "zoo"
    shutil.copytree(ZOO, zoo)
    before = make_table(zoo)
    twin = zoo / "results" / "unet-plain-dsb2018-reduced-seed1.json"
    result = json.loads(twin.read_text())
    result["recipe"]["dtype"] = "float64"
    result["over_cases"]["foreground"]["dice"]["mean"] = 0.0
    twin.with_name("zz.json").write_text(json.dumps(result))
    assert make_table(zoo) == before
    result["seed"] = 9
    twin.with_name("zz.json").write_text(json.dumps(result))
    assert make_table(zoo) != before
