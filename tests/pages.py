"""The code blocks of README and documentation, and a place to run them."""

import glob
import pathlib
import re
import shlex
import shutil
import typing

import keras
import nibabel
import numpy as np
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from dca_keras._files import write_json
from dca_keras.cli import app
from dca_keras.run import Run
from tests.tiny_run import tiny_recipe, write_images, write_run

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A block may stand behind a mark, <!-- not run: WHY --> or <!-- file: NAME -->.
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>(?:(?!-->).)*) -->\s+)?"
    r"^```(?P<language>python|sh|bash)\n(?P<code>.*?)^```$",
    re.M | re.S,
)
# What makes the code of a page quick, and needs no network.
SMALLER = {
    r"\b(224|96)\b": "32",
    r"double_unet\(": "double_unet(filters=5 * (4,), encoder_filters=5 * (4,),",
    'weights="imagenet"': "weights=None",
}
SHORT = "--epochs 1 --image-size 32 --batch-size 2".split()
SIDES = ((64, 80), (96, 96), (72, 64))


class Block(typing.NamedTuple):
    """A block of code, its language, its mark, and the line it begins at."""

    language: str
    code: str
    mark: str
    line: int


def blocks(page):
    """Return the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            found["code"],
            found["mark"] or "",
            text.count("\n", 0, found.start("code")),
        )
        for found in BLOCK.finditer(text)
    ]


def commands(code):
    """Return the `dca-keras` commands of a shell's block, as words."""
    code = re.sub(r"(^|\s)#.*$", "", code.replace("\\\n", " "), flags=re.M)
    lexer = shlex.shlex(code, posix=True, punctuation_chars="\n")
    lexer.whitespace, lexer.whitespace_split = " \t", True
    found, line = [], []
    for word in [*lexer, "\n"]:
        if word.strip("\n"):
            line.append(word)
            continue
        while line and re.match(r"\w+=", line[0]):  # variables before it
            line.pop(0)
        if line[:1] == ["dca-keras"]:
            found.append(line[1:])
        line = []
    return found


def options(words):
    """Return the names of the options in a command, and those it has."""
    group = get_command(app)
    name = next((word for word in words if word[0] != "-"), None)
    command = group if name is None else group.commands[name]
    known = {"--help"}
    for option in command.params:
        known.update(option.opts, option.secondary_opts)
    given = (word.partition("=")[0] for word in words if word[:2] == "--")
    return set(given), known


def run_page(page, folder):
    """Run the blocks of a page, one after the other, in a folder."""
    names = write_what_pages_name(folder)
    if page.name in MORE:
        names |= MORE[page.name](folder) or {}
    for block in blocks(page):
        kind, _, name = block.mark.partition(": ")
        if kind in ("not run", "ci"):
            continue
        if kind == "file":
            (folder / name).write_text(block.code)
        elif block.language == "python":
            run_python(block, str(page), names)
        else:
            for words in commands(block.code):
                run_command(words)


def run_python(block, page, names):
    code = block.code
    for pattern, text in SMALLER.items():
        code = re.sub(pattern, text, code)
    # The lines before it give a traceback the page's own numbers.
    exec(compile("\n" * block.line + code, page, "exec"), names)


def run_command(words):
    if words[0] == "train":
        words = [*words, *SHORT]
        if not {"--model", "--weights"} & set(words):
            words += ["--filters", "4,4,8"]
    words = [name for word in words for name in glob.glob(word) or [word]]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (words, result.output, result.exception)


# === What the pages name ===


def write_what_pages_name(folder):
    """Write images and runs, and return variables for blocks of Python."""
    data = write_images(folder / "my" / "folder", SIDES)
    rng = np.random.default_rng(0)
    image = rng.uniform(size=(96, 96, 3)).astype("float32")
    file = Image.fromarray((255 * image).astype("uint8"))
    for name in ("new/a", "scans/a", "cells/a", "new1", "new2", "cell"):
        path = folder / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        file.save(path)
    file.save(folder / "new.tif")
    scan = nibabel.Nifti1Image(100 * image[..., :2], np.eye(4))
    nibabel.save(scan, folder / "ct.nii.gz")
    run = write_run(folder / "run0", tiny_recipe(data, dca=True, image_size=96))
    history = run / "history.csv"
    history.write_text(
        "epoch,dice,val_dice,seconds\n1,0.5,0.4,2\n2,0.7,0.6,1\n"
    )
    for data in ("glas", "cells", "synthetic", "image_folder"):
        copy_run(run, folder / "runs" / f"unet-dca-{data}-seed0")
    copy_run(run, folder / "runs" / "NAME")
    images = rng.uniform(size=(2, 32, 32, 3)).astype("float32")
    return {
        "image": image,
        "images": images,
        "masks": (images[..., :1] > 0.5).astype("uint8"),
        "model": Run(run).load_model(),
    }


def copy_run(run, folder, **recipe):
    """Copy a run, with some fields of its recipe changed."""
    shutil.copytree(run, folder)
    record = dict(Run(folder).record)
    record["recipe"] = record["recipe"] | recipe
    write_json(folder / "recipe.json", record)
    return folder


def scored_runs(folder):
    """Two seeds of a plain model and of one with DCA, scored alike."""
    run = folder / "runs" / "unet-dca-glas-seed0"
    run_command(["evaluate", str(run)])
    for name, fields in {
        "unet-dca-glas-seed1": {"seed": 1},
        "unet-glas-seed0": {"dca": False},
        "unet-glas-seed1": {"dca": False, "seed": 1},
        "unet-dca-monuseg-seed0": {},
    }.items():
        copy_run(run, run.with_name(name), **fields)


def skips(folder):
    """Skips of four stages."""
    return {
        f"e{stage}": keras.Input((32 >> stage, 32 >> stage, 8))
        for stage in range(1, 5)
    }


def saved_model(folder):
    """A model that somebody else built."""
    from dca_keras.zoo import unet

    unet((32, 32, 3), filters=(4, 8, 8), dca=False).save(folder / "unet.keras")


def full_size_run(folder):
    """The run of a model at full width."""
    from dca_keras.zoo import unet

    run = copy_run(folder / "run0", folder / "runs" / "unet-glas-seed0")
    unet((32, 32, 3)).save(run / "model.keras")


MORE = {
    "compare.md": scored_runs,
    "training.md": scored_runs,
    "insert_dca.md": saved_model,
    "python.md": skips,
    "share.md": full_size_run,
}
