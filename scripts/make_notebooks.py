"""Make the notebooks that Colab opens from their sources, and run them.

    python scripts/make_notebooks.py              # those whose code changed
    python scripts/make_notebooks.py quickstart   # this one in any case

`NAME.md` is what people edit, in MyST's Markdown. `NAME.ipynb` is made of it
with what one run from top to bottom printed and drew, and the documentation
shows that. Where only the text changed, what the last run left is kept.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import jupytext
import nbformat
import typer
from nbclient import NotebookClient
from PIL import Image

from dca_keras._files import write_text

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
PARAMETERS = "parameters"  # The tag of the cell with the settings.


def sources():
    """Return the paths of the sources, sorted."""
    return sorted(FOLDER.glob("*.md"))


def read_source(path):
    """Return a source as a notebook without outputs."""
    notebook = jupytext.read(path)
    notebook.metadata.pop("jupytext")
    # Otherwise they are drawn by chance, and every run differs.
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{path.stem.replace('_', '-')}-{number}"
    return notebook


def run(notebook, folder, timeout=None, **settings):
    """Run a notebook from top to bottom, in place.

    Args:
        notebook: The notebook.
        folder: The folder it runs in, which gets the files it writes.
        timeout: Seconds that a cell may take; None for as many as it needs.
        **settings: Other values for names that its cell of settings assigns,
            for a shorter run. They go into a cell below that one, as
            papermill does it.

    Raises:
        ValueError: If it assigns no such name.
        nbclient.exceptions.CellExecutionError: If a cell raises.
    """
    if settings:
        _settle(notebook, settings)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()


def _settle(notebook, settings):
    tagged = [
        index
        for index, cell in enumerate(notebook.cells)
        if PARAMETERS in cell.metadata.get("tags", ())
    ]
    source = notebook.cells[tagged[0]].source if tagged else ""
    names = {line.split(" = ")[0] for line in source.splitlines()}
    if unknown := settings.keys() - names:
        raise ValueError(
            f"The notebook must assign {', '.join(sorted(unknown))} in a "
            f"cell with the tag {PARAMETERS!r}. It assigns there: "
            f"{', '.join(sorted(names))}"
        )
    lines = [f"{name} = {value!r}" for name, value in settings.items()]
    cell = nbformat.v4.new_code_cell("\n".join(lines))
    notebook.cells.insert(tagged[0] + 1, cell)


def _take_outputs(notebook, path):
    """Take what the last run left, and return whether the code was equal."""
    if not path.is_file():
        return False
    made = nbformat.read(path, as_version=4)
    old, new = (
        [cell for cell in one.cells if cell.cell_type == "code"]
        for one in (made, notebook)
    )
    if [cell.source for cell in old] != [cell.source for cell in new]:
        return False
    notebook.metadata = made.metadata
    for cell, left in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = left.outputs, left.execution_count
    return all(cell.execution_count for cell in new)


def _tidy(notebook):
    """Leave out TensorFlow's notes on its start, and make pictures small.

    What is left out is printed, for it may hold a warning.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                print(output.text, file=sys.stderr)
            elif "image/png" in output.get("data", {}):
                output.data["image/png"] = _shrink(output.data["image/png"])
        if "outputs" in cell:
            cell.outputs = [
                x for x in cell.outputs if x.get("name") != "stderr"
            ]


def _shrink(encoded):
    """Give a picture 256 colours, which takes a third of the bytes."""
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    file = io.BytesIO()
    picture.quantize(256).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Those to run; the changed ones if not given."),
    ] = None,
):
    for path in sources():
        if names and path.stem not in names:
            continue
        print(path.stem, file=sys.stderr)
        notebook, made = read_source(path), path.with_suffix(".ipynb")
        if names or not _take_outputs(notebook, made):
            with tempfile.TemporaryDirectory() as folder:
                run(notebook, folder)
            _tidy(notebook)
        write_text(made, nbformat.writes(notebook) + "\n")


if __name__ == "__main__":
    typer.run(main)
