"""The tables of `zoo/` say what the files there say, and no more."""

import json
import pathlib
import re
import shutil

import pytest
from rich.console import Console

from dca_keras.recipe import make_recipe
from dca_keras.zoo import list_models
from reproduce import reproduce
from tests.tiny_run import read_all, write_images
from zoo_results import VARIANTS, name_commands
from zoo_tables import make_tables, write_tables

ZOO = pathlib.Path(__file__).resolve().parents[2] / "zoo"
QUIET = Console(quiet=True)
ABSOLUTE = re.compile(r"(?<![\w.])/\w+/")  # a path from the root of a disk


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A zoo with a table of a few trained models."""
    root = tmp_path_factory.mktemp("zoo")
    data_dir = write_images(root / "blobs")
    zoo = root / "zoo"
    zoo.mkdir()
    for name in ("paper.json", "peers.json"):
        shutil.copy(ZOO / name, zoo)
    (zoo / "README.md").write_text(
        "Above.\n<!-- tables: begin -->\nold\n<!-- tables: end -->\nBelow.\n"
    )

    def run():
        reproduce(
            "image_folder",
            ["unet"],
            ["plain", "dca_control"],
            [0, 1],
            runs=root / "runs",
            results=zoo / "results",
            console=QUIET,
            data_dir=data_dir,
            image_size=32,
            filters=(4, 4, 4),
            epochs=1,
        )
        write_tables(zoo)

    run()
    before = read_all(root)
    run()  # Nothing is left to do.
    kept = (".keras", ".h5")
    assert {k: v for k, v in before.items() if k.suffix not in kept} == {
        k: v for k, v in read_all(root).items() if k.suffix not in kept
    }
    return zoo


def test_a_cell_is_what_its_files_say(zoo):
    text = (zoo / "README.md").read_text()
    assert text.startswith("Above.\n") and text.endswith("Below.\n")
    assert "\nold\n" not in text
    rows = {
        line.split("|")[1].strip(): [x.strip() for x in line.split("|")[2:-1]]
        for line in text.split("### `unet` on blobs, reduced")[1].splitlines()
        if line.startswith("| ")
    }
    for variant, heading in (
        ("plain", "plain"),
        ("dca_control", "no attention, the rest of DCA"),
    ):
        results = [
            json.loads(
                (
                    zoo
                    / f"results/unet-{variant}-blobs-reduced-seed{seed}.json"
                ).read_text()
            )
            for seed in (0, 1)
        ]
        cells = rows[heading]
        dice = [result["foreground"]["dice"]["mean"] for result in results]
        published = [result["published"]["dsc"] for result in results]
        assert cells[0] == "0, 1"
        assert float(cells[1]) == pytest.approx(sum(dice) / 2, abs=5.1e-5)
        assert float(cells[7]) == pytest.approx(sum(published) / 2, abs=5.1e-5)
        assert cells[8] == "none"
    assert rows["DCA"][0] == "not run"
    assert "CCA alone" not in rows  # A control that nobody ran.


def test_the_last_epoch_has_a_table_of_its_own(zoo):
    best, last = [
        text.split("###")[0]
        for text in (zoo / "README.md").read_text().split(" on blobs, reduced")
    ][1:]
    assert "last epoch" not in best
    assert last.startswith(", last epoch\n") and "--epoch last" in last
    (row,) = [x for x in last.splitlines() if x.startswith("| plain |")]
    cells = [cell.strip() for cell in row.split("|")[2:-1]]
    name = "last_epoch/unet-plain-blobs-reduced-seed"
    assert cells[-1] == f"`{name}*.json`"
    results = [
        json.loads((zoo / "results" / f"{name}{seed}.json").read_text())
        for seed in (0, 1)
    ]
    assert {result["epoch"] for result in results} == {"last"}
    dice = [result["foreground"]["dice"]["mean"] for result in results]
    assert float(cells[1]) == pytest.approx(sum(dice) / 2, abs=5.1e-5)


def test_a_single_run_has_a_row(zoo, tmp_path):
    alone = shutil.copytree(zoo, tmp_path / "zoo")
    shutil.rmtree(alone / "results" / "last_epoch")
    kept, *others = sorted((alone / "results").glob("*-plain-*"))
    for path in [*others, *(alone / "results").glob("*-dca_control-*")]:
        path.unlink()
    result = json.loads(kept.read_text())
    table = make_tables(alone).split("###")[1]
    assert "With one run they cover" in table
    (row,) = [x for x in table.splitlines() if x.startswith("| plain |")]
    assert f"{result['foreground']['dice']['mean']:.4f}" in row


@pytest.mark.parametrize(
    "runs, text",
    [
        ([("dca", 0)], "`{}`"),
        ([("plain", 2)], "`{} --seed 2` with `--no-dca`"),
        ([("dca", 0), ("dca", 1)], "`{}`, and the same with other seeds"),
        (
            [("plain", 0), ("dca", 1), ("dca_control", 0), ("dca_identity", 0)],
            "`{}`, and the same with `--no-dca`, `--no-channel-attention "
            "--no-spatial-attention`, `--start identity` and other seeds",
        ),
    ],
)
def test_the_commands_of_a_table(runs, text):
    results = []
    for variant, seed in runs:
        fields = VARIANTS[variant] | {"seed": seed}
        recipe = make_recipe("unet", "monuseg", **fields)
        result = {
            "variant": variant,
            "dca": recipe.dca,
            "seed": seed,
            "recipe": recipe.to_dict(),
        }
        results.append((pathlib.Path("unet.json"), result))
    command = "dca-keras train --model unet --data monuseg"
    assert name_commands(results) == text.format(command)


def test_volumes_have_a_table_of_their_own(zoo, tmp_path):
    """With every class's Dice, beside what others published."""
    made = shutil.copytree(zoo, tmp_path / "zoo")
    peer = {"name": "Theirs", "source": "a journal", "dice": {"nerve": 0.91}}
    (made / "peers.json").write_text(json.dumps({"blobs": [peer]}))
    dice = {}
    for path in (made / "results").glob("*.json"):
        result = json.loads(path.read_text())
        result["recipe"] |= {"image_size": [16, 32, 32], "data_dir": "blobs"}
        if result["dca"]:
            result["recipe"]["patch_size"] = 4
        result["class_names"] = {"1": "nerve"}
        path.write_text(json.dumps(result))
        dice.setdefault(result["variant"], []).append(
            result["over_cases"]["per_class"]["1"]["dice"]["mean"]
        )
    table = make_tables(made).split("###")[1]
    assert table.startswith(" `unet` on blobs, volumes")
    assert "16×32×32 voxels" in table and "a journal" in table
    heads, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    place = heads.index("Dice, nerve")
    assert [row[0] for row in rows] == [
        "plain",
        "no attention, the rest of DCA",
        "Theirs",
    ]
    for row, variant in zip(rows, ("plain", "dca_control"), strict=False):
        mean = sum(dice[variant]) / 2
        assert float(row[place]) == pytest.approx(mean, abs=5.1e-5)
    assert rows[-1][place] == "0.91"


def test_what_was_not_run_says_so(zoo):
    table = make_tables(zoo).split("###")[0]
    paper = json.loads((zoo / "paper.json").read_text())
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == 2 * len(list_models())
    assert table.count("not run") == 5 * len(rows)
    assert f"{paper['dca']['double_unet']['glas'][0]:.4f}" in rows[9]


@pytest.mark.parametrize("protocol", ["paper", "held_out"])
def test_the_papers_recipe_has_its_cell(zoo, tmp_path, protocol):
    """Where the protocol is the paper's too; and a table in any case."""
    made = shutil.copytree(zoo, tmp_path / "zoo")
    for path in sorted((made / "results").glob("*-plain-*")):
        result = json.loads(path.read_text())
        recipe = make_recipe(
            *("unet", "monuseg"),
            **{"protocol": protocol, "dtype": "mixed_bfloat16", "dca": False},
            seed=result["seed"],
        )
        result |= {"data": "monuseg", "protocol": protocol}
        result["recipe"] = recipe.to_dict()
        result["published"]["dsc"] = 0.75 + 0.02 * result["seed"]
        path.write_text(json.dumps(result))
    published, *others = make_tables(made).split("###")
    (row,) = [x for x in published.splitlines() if x.startswith("| `unet` | p")]
    (table,) = [x for x in others if x.startswith(" `unet` on monuseg")]
    heading = table.splitlines()[0].removeprefix(" `unet` on monuseg, ")
    assert "--dtype mixed_bfloat16" in table
    if protocol == "paper":
        assert "| 0.7714 | 0.7600 (2) |" in row
        assert heading == "the paper's recipe and protocol, mixed bfloat16"
        assert "chosen on the images that are scored" in table
    else:
        assert "| 0.7714 | not run |" in row
        assert heading == "the paper's recipe, mixed bfloat16"
        assert "chosen on the images that are scored" not in table


def test_the_repositorys_tables_are_what_its_files_say():
    text = (ZOO / "README.md").read_text(encoding="utf-8")
    assert make_tables(ZOO) in text
    for path in (ZOO / "results").rglob("*.json"):
        written = path.read_text(encoding="utf-8")
        assert not ABSOLUTE.search(written), path


@pytest.mark.parametrize(
    "words, message",
    [
        ({"variants": ["half"]}, "`variants` must be of plain, dca_control"),
        ({"models": ["unet", "u_net"]}, "`model` must be one of"),
        ({"epochs": 0}, "`epochs` must be a positive integer"),
    ],
)
def test_says_what_is_wrong_before_it_trains(tmp_path, words, message):
    given = {"models": ["unet"], "variants": ["plain"], "epochs": 1} | words
    with pytest.raises(ValueError, match=message):
        reproduce(
            "synthetic",
            seeds=[0],
            runs=tmp_path / "runs",
            results=tmp_path / "results",
            **given,
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_folds_are_one_row(zoo, tmp_path):
    made = shutil.copytree(zoo, tmp_path / "zoo")
    shutil.rmtree(made / "results")
    reproduce(
        "image_folder",
        ["unet"],
        ["plain", "dca"],
        [0],
        folds=2,
        runs=tmp_path / "runs",
        results=made / "results",
        console=QUIET,
        data_dir=write_images(tmp_path / "blobs"),
        image_size=32,
        filters=(4, 4, 4),
        epochs=1,
    )
    names = sorted(path.name for path in (made / "results").glob("*.json"))
    assert names[2] == "unet-plain-blobs-reduced-fold0of2-seed0.json"
    results = [
        json.loads((made / "results" / name).read_text()) for name in names[2:]
    ]
    dice = [row for r in results for row in r["per_case"]]
    dice = [row["per_class"]["1"]["dice"] for row in dice]
    table = make_tables(made).split("###")[1]
    (row,) = [x for x in table.splitlines() if x.startswith("| plain |")]
    cells = [cell.strip() for cell in row.split("|")[2:-1]]
    assert cells[0] == "0"
    assert float(cells[1]) == pytest.approx(sum(dice) / len(dice), abs=5.1e-5)
    assert cells[-1] == "`unet-plain-blobs-reduced-fold*-seed*.json`"


def test_results_of_earlier_versions_stand_beside_later_ones(zoo, tmp_path):
    made = shutil.copytree(zoo, tmp_path / "zoo")
    before = make_tables(made)
    path = min((made / "results").glob("*.json"))
    result = json.loads(path.read_text())
    del result["recipe"]["shown_channels"], result["recipe"]["minutes"]
    path.write_text(json.dumps(result))
    assert make_tables(made) == before
