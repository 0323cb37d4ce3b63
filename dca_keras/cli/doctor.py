"""The command `dca-keras doctor`."""

import json
from typing import Annotated

import typer
from rich.table import Table

from dca_keras.cli._options import out, print_error, print_line, print_warning


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON.")
    ] = False,
):
    """Check the installation: versions, devices, extras, and a self-test.

    The self-test trains a tiny U-Net with DCA for one step, saves it, loads
    it and compares the predictions. The exit code is 1 if something is wrong.
    """
    from dca_keras._doctor import examine

    found = examine()
    if as_json:
        print_line(json.dumps(found, indent=2))
    else:
        _print(found)
    if found["problems"]:
        raise typer.Exit(1)


def _print(found):
    hardware = dict(found.get("hardware", {}))
    if hardware:
        hardware["devices"] = ", ".join(hardware["devices"])
    _print_table("versions", found.get("versions", {}))
    _print_table("hardware", hardware)
    _print_table(
        "extras",
        {
            name: f'pip install "dca-keras[{name}]" for {", ".join(missing)}'
            if missing
            else "installed"
            for name, missing in found.get("extras", {}).items()
        },
    )
    for note in found["notes"]:
        print_warning(note)
    for problem in found["problems"]:
        print_error(problem)
    if not found["problems"]:
        print_line(
            "A U-Net with DCA was trained, saved and loaded in "
            f"{found['self_test']['seconds']} s. All is well."
        )


def _print_table(title, rows):
    if not rows:
        return
    print_line(title)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for name, text in rows.items():
        table.add_row(name, str(text))
    out.print(table, highlight=False, markup=False)
    print_line("")
