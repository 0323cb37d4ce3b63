"""Prediction with Ray Data, on two workers of its local cluster."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dca_keras.data.formats import read_pixels
from dca_keras.prediction import predict_files
from tests.tiny_run import tiny_recipe, write_images, write_run

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_two_workers_write_what_one_process_writes(tmp_path):
    pytest.importorskip("ray")
    run = write_run(
        tmp_path / "run", tiny_recipe(write_images(tmp_path / "images"))
    )
    new = tmp_path / "new"
    rng = np.random.default_rng(0)
    for index in range(16):
        path = new / f"folder {index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (32, 40, 3), "uint8")
        Image.fromarray(pixels).save(path)
    (new / "broken.png").write_text("no image")
    expected = predict_files(run, [new], tmp_path / "one").written

    def distribute():
        words = ["predict_ray.py", run, new, tmp_path / "two"]
        words += ["--workers", 2, "--batch", 2, "--engine", "keras"]
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=ROOT / "scripts",
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )

    done = distribute()
    assert "16 written, 0 existed already, by 2 workers" in done.stdout
    assert done.returncode == 1 and "broken.png" in done.stderr
    for path in expected:
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        found = read_pixels(other).values
        np.testing.assert_array_equal(found, read_pixels(path).values)
    assert "0 written, 16 existed already" in distribute().stdout
