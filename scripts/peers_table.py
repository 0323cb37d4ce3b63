"""Write `docs/peers_table.md`: DCA in models that others wrote.

    python scripts/peers_table.py

builds each model of `peers.PEERS` that the installed packages have, inserts
DCA and examines the result. The findings go to `docs/peers_table.json`, as do
the versions they were made with, and from there into the table.
`--only NAME`, which can be repeated, examines what has NAME in its name, and
keeps the other rows.
"""

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Annotated

import keras
import typer
from rich.console import Console

from dca_keras._environment import environment
from dca_keras._files import write_json, write_text
from peers import PEERS, examine, first_line

DOCS = Path(__file__).resolve().parents[1] / "docs"
MARK = "<!-- why not -->"  # The second table stands below.
HEADS = (
    "package",
    "network",
    "skips",
    "output changes by",
    "gradients",
    "`.keras`",
    "SavedModel",
)


def main(
    only: Annotated[list[str], typer.Option(help="Part of a name.")] = ("",),
    output: Annotated[Path, typer.Option(metavar="FOLDER")] = DOCS,
):
    """Examine the models of others and write the table."""
    path = output / "peers_table.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else {}
    status = Console(stderr=True)
    for peer in PEERS:
        if any(part in peer.key for part in only):
            status.print(peer.key)
            rows[peer.key] = {**described(peer), **findings(peer)}
            keras.backend.clear_session()
            write(output, rows)


def described(peer):
    """Return what is known of a model before it is built."""
    try:
        version = importlib.metadata.version(peer.package)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    return {"package": peer.package, "version": version, "network": peer.name}


def findings(peer):
    """Build and examine a model; say why where it can't be built."""
    try:
        model = peer.build()
    except Exception as error:
        return {"not_built": first_line(error)}
    with tempfile.TemporaryDirectory() as folder:
        return examine(model, Path(folder))


def write(folder, rows):
    """Write the JSON file and the table, in the order of `PEERS`."""
    order = [peer.key for peer in PEERS]
    rows = {key: rows[key] for key in order if key in rows}
    results = {"environment": environment(), "rows": rows}
    write_json(folder / "peers_table.json", results)
    write_text(folder / "peers_table.md", make_table(rows.values()))


def make_table(rows):
    """Return two tables as Markdown: what works, and what doesn't and why."""
    good = [row for row in rows if "difference" in row]
    bad = [row for row in rows if "difference" not in row]
    works = [
        (
            _package(row),
            row["network"],
            f"{len(row['skips'])}",
            f"{row['difference']:.1g}",
            row["trained"],
            row["saved"],
            row["exported"],
        )
        for row in good
    ]
    fails = [
        (_package(row), row["network"], _reason(row["refused"]))
        if "refused" in row
        else (_package(row), row["network"], f"not built: {row['not_built']}")
        for row in bad
    ]
    return (
        f"{_markdown(HEADS, works)}\n{MARK}\n\n"
        f"{_markdown(('package', 'network', 'why not'), fails)}"
    )


def _package(row):
    return f"{row['package']} {row['version']}".strip()


def _reason(error):
    """Return what was seen, without what to do about it."""
    return error.split(" Name them with")[0]


def _markdown(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


if __name__ == "__main__":
    typer.run(main)
