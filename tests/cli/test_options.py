"""What the commands share: options by their earlier names, messages."""

import dataclasses
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from dca_keras import cli
from dca_keras.cli import _options
from dca_keras.recipe import Recipe, markdown_table


@pytest.fixture
def app(monkeypatch):
    names = {"--old": ("--new",), "--way": ("--new", "three words long")}
    monkeypatch.setattr(_options, "RENAMED", names)
    app = typer.Typer()

    @app.command(cls=_options.Command)
    def show(new: Annotated[str, typer.Option("--new")] = "nothing"):
        print(f"new is {new}")

    return app


@pytest.mark.parametrize(
    "words, value, now",
    [
        (["--old", "5"], "5", "`--old` is now `--new`"),
        (["--old=5=6"], "5=6", "`--old` is now `--new`"),
        (["--way"], "three words long", "`--new 'three words long'`"),
    ],
)
def test_takes_the_earlier_name_of_an_option(app, words, value, now):
    result = CliRunner().invoke(app, words)
    assert result.stdout == f"new is {value}\n"
    assert result.stderr.startswith("Warning: ") and now in result.stderr


def test_warns_of_nothing_where_the_name_is_todays(app):
    result = CliRunner().invoke(app, ["--new", "5"])
    assert (result.stdout, result.stderr) == ("new is 5\n", "")
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "--new" in shown and "--old" not in shown


@pytest.mark.parametrize(
    "words, message",
    [
        ("train --batch-size 0", "`--batch-size` must be a positive integer"),
        ("train --num-classes -1", "`--num-classes` must be a positive"),
        ("train --data image_folder", "'image_folder' needs `--data-dir`,"),
        ("train --data-dir x", "x can't be read as a folder"),
        ("train x --data-dir x", "Give the folder once, as DIR or as `--da"),
        ("train --image-size 30", "`--image-size` sides must be multiples of"),
        ("train --filters 4,x", "`--filters` must be integers with ','"),
        ("train --loss {", "`--loss` must be a name, or JSON of class_name"),
        ("train --devices CPU:0", "`--devices` need `--strategy` mirrored"),
        ("train --channels 2", "`--channels` must be 1 or 3 for the syn"),
    ],
)
def test_errors_name_the_option_not_the_argument(tmp_path, words, message):
    output = ["--output", str(tmp_path / "run")]
    result = CliRunner().invoke(cli.app, words.split() + output)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    "message, named",
    [
        ("Use `partial=True`.", "Use `--partial`."),
        ("Use `dca=False`.", "Use `--no-dca`."),
        ("Try `batch_size=4`.", "Try `--batch-size 4`."),
        ("`input_shape` sides", "`--image-size` sides"),
        ("`query_block` or `--output`", "`query_block` or `--output`"),
    ],
)
def test_names_options(message, named):
    command = typer.main.get_command(cli.app).commands["train"]
    assert _options.name_options(message, command) == named


def test_every_hyperparameter_is_an_option_and_in_the_table():
    shown = CliRunner().invoke(cli.app, ["train", "--help"]).output
    table = markdown_table().splitlines()
    for own, row in zip(dataclasses.fields(Recipe), table[2:], strict=True):
        option = "--" + own.name.replace("_", "-")
        assert row.startswith(f"| `{option}` | ")
        assert row.endswith(f" | {own.metadata['help']} |")
        if own.name != "plugins":
            assert option in shown
    assert "| `--learning-rate` | 0.0001 | Learning rate" in "\n".join(table)
