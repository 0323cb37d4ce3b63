"""The command `dca-keras`: parses, calls, prints.

One file a command. What takes long to import is imported by the function that
needs it.
"""

from typing import Annotated

import typer
from typer.core import TyperGroup

from dca_keras import __version__
from dca_keras.cli import (
    compare,
    dataset,
    doctor,
    evaluate,
    explain,
    export,
    models,
    page,
    predict,
    share,
    train,
)
from dca_keras.cli._options import (
    Command,
    name_options,
    print_error,
    with_plugins,
)
from dca_keras.cli._quiet import quiet_imports


class _Reporter(TyperGroup):
    """Says what the user can mend in one line instead of a traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (ValueError, OSError, ImportError) as error:
            if ctx.params["debug"] or isinstance(error, BrokenPipeError):
                raise
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            print_error(name_options(str(error), command))
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=_Reporter,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool):
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and stop.",
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", envvar="DCA_KERAS_DEBUG", help="Show tracebacks."
        ),
    ] = False,
):
    """Dual Cross-Attention for medical image segmentation, on Keras 3."""


for _command in (
    train.train,
    evaluate.evaluate,
    compare.compare,
    predict.predict,
    explain.explain,
    page.app,
    export.export,
    share.share,
    dataset.data,
    dataset.prepare,
    models.models,
    doctor.doctor,
):
    app.command(cls=Command)(with_plugins(_command))


def main():
    """The entry point of the command."""
    quiet_imports()
    app(prog_name="dca-keras")
