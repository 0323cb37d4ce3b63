"""Runs beside one another, with differences that are known."""

import csv
import functools
import json

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from dca_keras._files import write_json
from dca_keras.cli.compare import compare as cli_compare
from dca_keras.data import Sample
from dca_keras.evaluation import compare
from dca_keras.evaluation._intervals import mean_intervals
from dca_keras.evaluation._scoring import evaluate_model


class Shifted:
    """A model that copies the mask in its image, moved to the right."""

    def __init__(self, pixels):
        self.pixels = pixels

    def predict_on_batch(self, images):
        return np.roll(images[..., :1], self.pixels, axis=2)


def squares(count=6):
    samples = []
    for index in range(count):
        mask = np.zeros((16, 16, 1), "int32")
        mask[4:12, 3 : 7 + index] = 1
        image = mask.astype("float32")
        load = functools.partial(lambda *pair: pair, image, mask)
        samples.append(Sample(f"s{index}", f"s{index}", load))
    return samples


def write_run(folder, pixels, samples=None, split="test", **facts):
    scores = evaluate_model(
        Shifted(pixels),
        squares() if samples is None else samples,
        image_size=(16, 16),
        batch_size=4,
    )
    result = {"model": "unet", "data": "image_folder", "split": split}
    result |= {"class_names": {"1": "foreground"}} | facts | scores
    suffix = "" if split == "test" else f"_{split}"
    write_json(folder / f"metrics{suffix}.json", result)
    return folder


def recipe(**values):
    return {"recipe": {"model": "unet", "dca": False, "seed": 0} | values}


def dice(folder):
    result = json.loads((folder / "metrics.json").read_text())
    return np.array(
        [row["per_class"]["1"]["dice"] for row in result["per_case"]]
    )


def test_differences_are_those_of_the_pairs(tmp_path):
    near = write_run(tmp_path / "near", 1)
    far = write_run(tmp_path / "far", 3, squares()[::-1])
    comparison = compare([near, far])
    first, second = comparison["groups"]
    assert "differences" not in first
    assert first["name"] == "unet (near)"
    expected = dice(far)[::-1] - dice(near)
    difference = second["differences"]["dice"]
    assert difference["mean"] == pytest.approx(expected.mean())
    interval = mean_intervals(expected, range(6))[1]
    np.testing.assert_allclose(difference["interval"], interval)
    assert difference["pairs"] == 6
    assert difference["mean"] < difference["interval"][1] < 0
    # Everything is two pixels further off.
    assert second["differences"]["hd95"]["mean"] == pytest.approx(2)
    assert first["scores"]["dice"]["mean"] == pytest.approx(dice(near).mean())
    assert first["scores"]["dice"]["runs_sd"] is None


def test_seeds_of_a_recipe_are_one_group(tmp_path):
    runs = [
        write_run(tmp_path / "a0", 1, seed=0, dca=False, **recipe()),
        write_run(tmp_path / "b0", 2, seed=0, dca=True, **recipe(dca=True)),
        write_run(tmp_path / "a1", 3, seed=1, dca=False, **recipe(seed=1)),
    ]
    plain, other = compare(runs)["groups"]
    assert (plain["name"], other["name"]) == ("unet", "unet with DCA")
    assert [run["folder"] for run in plain["runs"]] == ["a0", "a1"]
    assert [run["seed"] for run in plain["runs"]] == [0, 1]
    means = [dice(tmp_path / name).mean() for name in ("a0", "a1")]
    assert plain["scores"]["dice"]["mean"] == pytest.approx(np.mean(means))
    sd = plain["scores"]["dice"]["runs_sd"]
    assert sd == pytest.approx(np.std(means, ddof=1))
    expected = dice(tmp_path / "b0").mean() - np.mean(means)
    assert other["differences"]["dice"]["mean"] == pytest.approx(expected)


def test_undefined_pairs_are_counted(tmp_path):
    gone = write_run(tmp_path / "gone", 1)
    result = json.loads((gone / "metrics.json").read_text())
    result["per_case"][2]["per_class"]["1"]["hd95"] = None
    write_json(gone / "metrics.json", result)
    comparison = compare([gone, write_run(tmp_path / "b", 2)])
    differences = comparison["groups"][1]["differences"]
    assert differences["hd95"]["pairs"] == 5
    assert differences["dice"]["pairs"] == 6


def test_says_what_few_runs_and_cases_leave_open(tmp_path):
    runs = [
        write_run(
            tmp_path / f"{dca}{seed}", 1 + seed, **recipe(dca=dca, seed=seed)
        )
        for dca, seeds in ((False, 3), (True, 1))
        for seed in range(seeds)
    ]
    first, second, third = compare(runs)["warnings"]
    assert "only 6 cases" in first
    assert "Only one run of unet (True0)" in second and "not of the" in second
    assert "only 3 runs a group" in third
    many = [
        write_run(
            tmp_path / f"m{seed}",
            seed % 4,
            squares(50),
            **recipe(seed=seed, dca=seed > 4),
        )
        for seed in range(10)
    ]
    assert compare(many)["warnings"] == []


def test_an_interval_stays_among_the_scores_there_are(tmp_path):
    runs = [
        write_run(tmp_path / f"a{seed}", 4 * seed, **recipe(seed=seed))
        for seed in range(2)
    ]
    runs.append(write_run(tmp_path / "b", 1))
    scores = compare(runs)["groups"][0]["scores"]
    assert scores["dice"]["interval"] == [0, 1]
    assert scores["hd95"]["interval"][0] == 0


def test_reads_scores_of_earlier_versions(tmp_path):
    runs = [write_run(tmp_path / name, n) for n, name in enumerate("ab")]
    expected = compare(runs)
    for run in runs:
        result = json.loads((run / "metrics.json").read_text())
        result["part"] = result.pop("split")
        for row in result["per_image"] + result["per_case"]:
            del row["per_class"]["1"]["true_positives"]
        write_json(run / "metrics.json", result)
    assert compare(runs) == expected


def test_writes_what_it_returns(tmp_path):
    runs = [write_run(tmp_path / name, n) for n, name in enumerate("abc")]
    output = tmp_path / "new" / "comparison"
    comparison = compare(runs, output=output)
    written = json.loads((output / "comparison.json").read_text())
    assert written == comparison
    assert str(tmp_path) not in json.dumps(written)
    with open(output / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 6
    assert rows[0]["difference"] == ""
    last = comparison["groups"][2]["differences"]["assd"]
    assert float(rows[-1]["difference"]) == last["mean"]
    assert float(rows[-1]["difference_low"]) == last["interval"][0]
    with Image.open(output / "comparison.png") as picture:
        assert np.ptp(np.asarray(picture)) > 100


def test_compares_another_split_and_single_files(tmp_path):
    runs = [
        write_run(tmp_path / name, n, split="val")
        for n, name in enumerate("ab")
    ]
    by_split = compare(runs, "val")
    assert by_split["split"] == "val"
    assert compare([run / "metrics_val.json" for run in runs]) == by_split


def test_the_command_prints_what_it_compares(tmp_path):
    runs = [
        write_run(tmp_path / "a0", 1, seed=0, **recipe()),
        write_run(tmp_path / "a1", 2, seed=1, **recipe(seed=1)),
        write_run(tmp_path / "b0", 3, seed=0, dca=True, **recipe(dca=True)),
    ]
    app = typer.Typer()
    app.command()(cli_compare)
    words = [*map(str, runs), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    first, second = compare(runs)["groups"]
    rows = [line.split() for line in result.stdout.splitlines()]
    mean = f"{first['scores']['dice']['mean']:.3f}"
    assert ["Dice", "unet", "2", mean] in [row[:4] for row in rows]
    difference = second["differences"]["hd95"]
    low, high = difference["interval"]
    cells = [f"{x:+.2f}" for x in (difference["mean"], low, high)]
    assert [*cells[:2], "to", cells[2]] in [row[-4:] for row in rows]
    assert "6 images of 6 cases" in result.stdout
    dice = ", ".join(f"{run['dice']:.4f}" for run in first["runs"])
    assert f"each run of unet: {dice}" in result.stdout
    assert (tmp_path / "out" / "comparison.json").exists()


def drop(key):
    def change(result):
        del result[key]

    return change


def rename(result):
    result["per_image"][1]["name"] = "other"


def move(result):
    result["per_image"][1]["case"] = "patient 7"


BROKEN = [
    (
        rename,
        r"a.metrics.json alone has 1 image \(s1\); .* \(other of case s1\)",
    ),
    (move, "b.metrics.json alone has .*s1 of case patient 7"),
    (lambda result: result.update(split="val"), "must agree in `split`"),
    (lambda result: result.update(distance_unit="mm"), "`distance_unit`"),
    (drop("per_case"), "b.metrics.json does not hold the scores.* writes it"),
    (drop("per_image"), "b.metrics.json does not hold"),
    (drop("class_names"), "b.metrics.json does not hold"),
]


@pytest.mark.parametrize("change, message", BROKEN)
def test_says_why_runs_cannot_be_compared(tmp_path, change, message):
    runs = [write_run(tmp_path / name, 1) for name in "ab"]
    result = json.loads((runs[1] / "metrics.json").read_text())
    change(result)
    write_json(runs[1] / "metrics.json", result)
    with pytest.raises(ValueError, match=message):
        compare(runs, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_says_what_runs_it_needs(tmp_path):
    run = write_run(tmp_path / "a", 1)
    for runs in ([], [run], [run, run]):
        with pytest.raises(ValueError, match="`runs` must be two or more"):
            compare(runs)
    with pytest.raises(ValueError, match="b/metrics.json is missing. .*evalu"):
        compare([run, tmp_path / "b"])
    (run / "metrics.json").write_text("no JSON")
    with pytest.raises(ValueError, match="a/metrics.json does not hold"):
        compare([run, write_run(tmp_path / "b", 1)])
