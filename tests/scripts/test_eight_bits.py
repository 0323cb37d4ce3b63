"""The table of what 8 bits cost says what exports of runs score."""

import json

import pytest

import eight_bits
from dca_keras import Run
from dca_keras.evaluation import evaluate_run
from tests.export.exports import use
from tests.tiny_run import tiny_recipe, write_images, write_run


@pytest.mark.slow
def test_runs_are_exported_and_scored(tmp_path):
    for module in ("openvino", "nncf", "ai_edge_litert", "ai_edge_quantizer"):
        pytest.importorskip(module)
    run = write_run(
        tmp_path / "run", tiny_recipe(write_images(tmp_path / "images"))
    )
    use(Run(run).load_model()).save(run / "model.keras")
    row = eight_bits.measure(run)
    scores = evaluate_run(run)
    assert (row["model"], row["images"]) == ("unet", 3)
    assert row["dice"] == pytest.approx(scores["dice"], abs=1e-6)
    for format in eight_bits.FORMATS:
        before, after = row[format]["validation"]
        (card,) = [
            card
            for path in (run / "export").glob("*.json")
            if (card := json.loads(path.read_text()))["format"] == format
        ]
        assert card["quantization"]["dice_before"] == before
        assert card["quantization"]["dice_after"] == after
        assert row[format]["dice"] == pytest.approx(row["dice"], abs=0.2)


def test_a_row_names_the_model_and_its_scores_in_order():
    scores = {"validation": [0.5, 0.51], "dice": 0.41}
    row = {"model": "vnet_dca", "dice": 0.4, "openvino_int8": scores}
    row["litert_int8"] = {"validation": [0.5, 0.52], "dice": 0.42}
    line = "| vnet_dca | 0.4000 | 0.4100 | 0.4200 | 0.5000 | 0.5100 | 0.5200 |"
    head, rule, found = eight_bits.to_markdown([row]).splitlines()
    assert found == line and head.count("|") == rule.count("|") == 8
