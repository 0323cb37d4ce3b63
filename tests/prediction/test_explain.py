"""What a run's model looks at in an image file."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from dca_keras.cli import app
from dca_keras.prediction import _explain, explain_file
from dca_keras.run import Run
from tests.tiny_run import tiny_recipe, write_images, write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture(scope="module", params=["resize", "crop"])
def run(request, tmp_path_factory, folder):
    recipe = tiny_recipe(folder, dca=True, sampling=request.param)
    return write_run(tmp_path_factory.mktemp("run") / "run", recipe)


def test_the_command_draws(run, folder, monkeypatch):
    seen = {}

    def watched(model, image, at, **options):
        seen.update(image=image, at=at)
        return attention(model, image, at, **options)

    attention = _explain.attention
    monkeypatch.setattr(_explain, "attention", watched)
    file = folder / "test" / "images" / "0.png"  # 40 high, 48 wide
    words = ["explain", str(run), str(file), "--at", "40,10"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    picture = run / "predictions" / "0_attention.png"
    with Image.open(picture) as written:
        assert min(written.size) > 200
    assert seen["image"].shape == (32, 32, 3)
    resized = Run(run).recipe.sampling == "resize"
    assert seen["at"] == ((27, 8) if resized else (24, 10))


def test_a_slice_of_a_stack(run, tmp_path, monkeypatch):
    stack = np.zeros((3, 40, 32, 3), "uint8")
    stack[1] = 255
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="rgb")
    seen = {}
    monkeypatch.setattr(
        _explain, "attention", lambda _, image, at, **k: seen.update(x=image)
    )
    explain_file(run, tmp_path / "stack.tif", (3, 4, 1), tmp_path / "a.png")
    assert seen["x"].min() == 1


def test_a_point_outside(run, folder):
    file = folder / "test" / "images" / "0.png"
    with pytest.raises(ValueError, match="`at` must be x,y in .* 48×40 pixels"):
        explain_file(run, file, (48, 0))


def test_windows_and_moved_points():
    image = np.arange(20 * 4, dtype="float32").reshape(20, 4, 1)
    window, at = _explain._window(image, (3, 18), (8, 8))
    assert window.shape == (8, 8, 1)
    assert window[at[1], at[0], 0] == image[18, 3, 0]
    assert window[:, [0, 1, 6, 7]].sum() == 0
    assert _explain._moved((3, 18), (20, 4, 1), (40, 2, 1)) == (1, 37)
