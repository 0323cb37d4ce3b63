"""The tidy table of scores, and the summaries that are made from it."""

import json
import pathlib

import numpy as np
import pytest

from dca_keras.evaluation import evaluate_model, score_table
from dca_keras.evaluation._scoring import name_classes
from dca_keras.evaluation._summary import summarize, summarize_tables
from dca_keras.evaluation._table import foreground, to_array
from tests.evaluation.test_evaluation import Brightness, volume_samples

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "zoo" / "results"


@pytest.fixture(scope="module")
def result():
    return evaluate_model(
        Brightness(0.2, 0.6),
        volume_samples((5.0, 0.5, 1.0)),
        image_size=(12, 12),
        batch_size=3,
        class_names=("liver", "spleen"),
    )


def test_a_row_is_a_score_of_a_class_of_an_image(result):
    table = score_table(result)
    assert list(table) == ["image", "case", "class", "score", "value"]
    assert len(table) == 7 * 3 * 9
    means = table.groupby(["class", "score"])["value"].mean()
    for index, name in enumerate(("background", "liver", "spleen")):
        for score, summary in result["per_class"][str(index)].items():
            assert means[name, score] == pytest.approx(summary["mean"])
    first = table[(table["image"] == "a0") & (table["class"] == "liver")]
    assert (
        first.set_index("score")["value"]["true_pixels"]
        == (result["per_image"][0]["per_class"]["1"]["true_pixels"])
    )
    undefined = result["per_class"]["1"]["hd95"]["undefined"]
    liver = table[(table["class"] == "liver") & (table["score"] == "hd95")]
    assert liver["value"].isna().sum() == undefined > 0


def test_a_table_over_cases(result):
    table = score_table(result, over="cases")
    assert list(table) == ["case", "class", "score", "value"]
    assert table["case"].unique().tolist() == ["a", "b"]
    expected = result["over_cases"]["foreground"]
    np.testing.assert_allclose(
        foreground(table).mean(0), [s["mean"] for s in expected.values()]
    )
    with pytest.raises(ValueError, match="`over` must be 'images' or"):
        score_table(result, over="classes")


def test_the_summaries_follow_from_the_tables(result):
    read = json.loads(json.dumps(result))
    tables = score_table(read), score_table(read, over="cases")
    again = summarize_tables(*tables, published_batch=3)
    assert again | {"distance_unit": "mm", "grid": "resized"} == result


@pytest.mark.parametrize("model", ["plain", "dca"])
def test_results_that_exist_are_summarized_as_they_say(model):
    path = RESULTS / f"unet-{model}-monuseg-reduced-seed0.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    table = score_table(result)
    cases = [row["case"] for row in result["per_image"]]
    for name, summary in summarize(to_array(table), cases).items():
        assert result[name] == summary


NAMES = [
    (1, None, ["foreground"]),
    (1, ("nucleus",), ["nucleus"]),
    (1, ("a", "b"), ["foreground"]),
    (3, ("a", "b"), ["background", "a", "b"]),
    (3, ("a",), ["background", "class 1", "class 2"]),
    (3, ("a", "a"), ["background", "class 1", "class 2"]),
    (2, None, ["background", "class 1"]),
]


@pytest.mark.parametrize("count, names, expected", NAMES)
def test_names_the_classes(count, names, expected):
    assert name_classes(count, names) == expected
