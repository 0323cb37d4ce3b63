"""The notebooks run, and Colab opens what their sources say."""

import pathlib
import re
import tomllib

import pytest

pytest.importorskip("jupytext")
pytest.importorskip("nbclient")

import nbformat

from make_notebooks import read_source, run, sources

ROOT = pathlib.Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REPOSITORY = PYPROJECT["project"]["urls"]["Repository"]
# Other settings of each, for a run of seconds.
SHORT = {
    "quickstart": {"epochs": 1, "training_images": 8},
    "your_own_images": {"epochs": 1, "patients": 6},
    "volumes": {"epochs": 1, "scans": 6},
    "add_dca_to_your_model": {
        "epochs": 1,
        "more_epochs": 1,
        "training_images": 8,
    },
    "fine_tune_and_share": {"epochs": 1},
}
each_notebook = pytest.mark.parametrize(
    "source", sources(), ids=lambda path: path.stem
)


def test_there_are_five():
    assert {path.stem for path in sources()} == set(SHORT)


@each_notebook
def test_what_colab_opens_was_made_of_the_source(source):
    made = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(made)
    assert [(cell.cell_type, cell.source) for cell in made.cells] == [
        (cell.cell_type, cell.source) for cell in read_source(source).cells
    ], "run `python scripts/make_notebooks.py`"
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    # What is shown is of one run, from top to bottom, without an error.
    assert [x.execution_count for x in code] == [*range(1, len(code) + 1)]
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert "error" not in kinds and "display_data" in kinds


@each_notebook
def test_links_to_the_repository_lead_somewhere(source):
    text = source.read_text(encoding="utf-8")
    colab = REPOSITORY.replace("github.com", "colab.research.google.com/github")
    assert f"({colab}/blob/main/notebooks/{source.stem}.ipynb)" in text
    assert f"git+{REPOSITORY}\n" in text or f'git+{REPOSITORY}"\n' in text
    for path in re.findall(rf"\({REPOSITORY}/blob/main/([^)#]+)", text):
        assert (ROOT / path).is_file(), path


@pytest.mark.slow
@each_notebook
def test_a_notebook_runs(source, tmp_path):
    notebook = read_source(source)
    run(notebook, tmp_path, timeout=600, **SHORT[source.stem])
    drawn = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert len(drawn) >= 2


def test_a_setting_that_no_notebook_has_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="must assign epoch in a cell"):
        run(read_source(sources()[0]), tmp_path, epoch=1)
