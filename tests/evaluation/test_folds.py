"""The folds of a cross-validation, compared as one result."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dca_keras.cli.compare import compare as cli_compare
from dca_keras.evaluation import compare
from tests.evaluation.test_comparison import dice, recipe, squares, write_run


def write_folds(folder, pixels=1, count=3, seed=0, **values):
    """A run a fold, which scored every third of nine squares."""
    samples = squares(9)
    return [
        write_run(
            folder / f"fold{index}",
            pixels,
            samples[index::count],
            seed=seed,
            dca=values.get("dca", False),
            **recipe(fold=f"{index}/{count}", seed=seed, **values),
        )
        for index in range(count)
    ]


def test_folds_are_one_result(tmp_path):
    folds = write_folds(tmp_path / "plain")
    whole = write_run(tmp_path / "whole", 3, squares(9), **recipe(dca=True))
    comparison = compare([*folds, whole])
    first, second = comparison["groups"]
    assert comparison["cases"] == comparison["images"] == 9
    (run,) = first["runs"]
    assert run["folder"] == "fold0, fold1, fold2"
    assert run["folds"][1] == {
        "fold": "1/3",
        "folder": "fold1",
        "cases": ["s1", "s4", "s7"],
    }
    expected = np.concatenate([dice(fold) for fold in folds]).mean()
    assert first["scores"]["dice"]["mean"] == pytest.approx(expected)
    assert run["dice"] == pytest.approx(expected)
    assert second["differences"]["dice"]["pairs"] == 9
    assert second["differences"]["hd95"]["mean"] == pytest.approx(2)


def test_folds_of_several_seeds_are_a_group_of_runs(tmp_path):
    runs = []
    for seed in (0, 1):
        runs += write_folds(tmp_path / f"{seed}", 1 + seed, seed=seed)
    runs += write_folds(tmp_path / "dca", 3, dca=True)
    rng = np.random.default_rng(0)
    first, second = compare(rng.permutation(np.array(runs, object)))["groups"]
    by_name = {group["name"]: group for group in (first, second)}
    assert [run["seed"] for run in by_name["unet"]["runs"]] in ([0, 1], [1, 0])
    assert len(by_name["unet with DCA"]["runs"]) == 1


def test_folds_may_have_seeds_and_spacings_of_their_own(tmp_path):
    samples = squares(9)
    runs = [
        write_run(
            tmp_path / f"fold{index}",
            1,
            samples[index::3],
            seed=index,
            **recipe(fold=f"{index}/3", seed=index, spacing=[1, 1, 1 + index]),
        )
        for index in range(3)
    ]
    (group,) = compare(runs)["groups"]
    assert len(group["runs"]) == 1
    assert group["runs"][0]["seed"] is None


def test_incomplete_and_overlapping_folds_are_refused(tmp_path):
    folds = write_folds(tmp_path / "a")
    with pytest.raises(
        ValueError, match=r"^1/3 of the folds of .*partial=True"
    ):
        compare([folds[0], folds[2]])
    partial = compare([folds[0], folds[2]], partial=True)
    assert partial["cases"] == 6
    other = write_run(
        tmp_path / "a" / "other", 3, squares(9)[1::2], **recipe(fold="1/3")
    )
    with pytest.raises(ValueError, match="overlap: 2 images such as s3 were"):
        compare([folds[0], other, folds[2]])
    partial = compare([folds[0], other, folds[2]], partial=True)
    assert partial["cases"] == 8
    (run,) = partial["groups"][0]["runs"]
    assert [len(fold["cases"]) for fold in run["folds"]] == [3, 3, 2]
    # A fold twice, of one recipe and one seed.
    again = write_run(
        tmp_path / "a" / "again", 2, squares(9)[::3], **recipe(fold="0/3")
    )
    with pytest.raises(ValueError, match="overlap"):
        compare([*folds, again])


def test_the_command_says_which_run_held_out_what(tmp_path):
    folds = write_folds(tmp_path / "plain")
    app = typer.Typer()
    app.command()(cli_compare)
    words = [*map(str, folds), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "unet, fold 2/3: 3 cases, by fold2" in result.stdout
    assert "9 images of 9 cases" in result.stdout
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert written["groups"][0]["runs"][0]["folds"][0]["fold"] == "0/3"
    result = CliRunner().invoke(app, [*words[:2], "--partial"])
    assert result.exit_code == 0, result.output


def test_folds_of_the_last_epoch_are_another_result(tmp_path):
    best, last = (write_folds(tmp_path / name) for name in ("best", "last"))
    for run in last:
        result = json.loads((run / "metrics.json").read_text())
        text = json.dumps(result | {"epoch": "last"})
        (run / "metrics.json").write_text(text)
    names = [group["name"] for group in compare([*best, *last])["groups"]]
    assert names == ["unet", "unet at the last epoch"]
