"""Code blocks of README and documentation run, or say why they don't."""

import re

import keras
import pytest

from tests.pages import PAGES, ROOT, blocks, commands, options, run_page

PLACEHOLDERS = {"...", "…"}
WITH_CODE = [page for page in PAGES if blocks(page)]


def by_name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_commands_have_these_options(page):
    found = [w for block in blocks(page) for w in commands(block.code)]
    text = page.read_text(encoding="utf-8").replace("\n", " ")
    for inline in re.findall(r"(?<!`)`(dca-keras [^`]+)`", text):
        found += commands(inline)
    for words in found:
        given, known = options([w for w in words if w not in PLACEHOLDERS])
        assert given <= known, words


@pytest.mark.parametrize("page", WITH_CODE, ids=by_name)
def test_a_block_that_is_not_run_says_why(page):
    for block in blocks(page):
        kind, _, why = block.mark.partition(": ")
        assert kind in ("", "not run", "file", "ci"), block.mark
        assert kind != "not run" or len(why.split()) > 2, block.mark


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=by_name)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    fit = keras.Model.fit

    def fit_briefly(model, *data, **options):
        options |= {"epochs": 1, "steps_per_epoch": 1}
        model.run_eagerly = True  # one step is not worth a graph
        return fit(model, *data, **options)

    monkeypatch.setattr(keras.Model, "fit", fit_briefly)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    run_page(page, tmp_path)
