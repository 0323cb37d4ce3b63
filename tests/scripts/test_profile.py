"""The profile of OpenVINO's time counts what the layers compute."""

import json

import keras
import numpy as np
import pytest

from benchmarks import profile
from dca_keras import zoo


@pytest.mark.slow
def test_counts_the_arithmetic_of_every_kind(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    create = zoo.create_model
    made = []

    def narrow(name, shape, dca):
        made.append(create(name, shape, dca=dca, filters=(8, 8, 8)))
        return made[-1]

    monkeypatch.setattr(profile, "SIDE", 32)
    monkeypatch.setattr(profile.zoo, "create_model", narrow)
    rows = profile.measure_profile(tmp_path, ("unet",))
    assert json.loads((tmp_path / "profile.json").read_text())["rows"] == rows
    for row in rows:
        assert row["seconds"] > 0 and row["least"] > 0
    for dca, model in enumerate(made[:2]):
        expected = sum(
            2
            * np.prod(layer.output.shape[1:])
            * np.prod(layer.kernel.shape[:3])
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.Conv2D)
        )
        found = {
            (row["format"], row["kind"]): row["flops"]
            for row in rows
            if row["model"] == f"unet{'_dca' * dca}"
        }
        for format in profile.FORMATS:
            assert found[format, "convolutions"] == expected > 0
            assert (found.get((format, "products"), 0) > 0) == bool(dca)
    table = (tmp_path / "profile.md").read_text().splitlines()
    assert len(table) == len(rows) + 2
