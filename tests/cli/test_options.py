"""What the commands share: options by their earlier names, messages."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from dca_keras.cli import _options


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
