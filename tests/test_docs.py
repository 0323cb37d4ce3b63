"""The documentation builds without a warning, and its links lead somewhere."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_within_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(ROOT))
)
def test_python_in_pages_is_python(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        compile(block, str(page), "exec")


def test_the_readme_is_one_page():
    words = (ROOT / "README.md").read_text().split()
    assert len(words) <= 900


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
        + [str(ROOT / "docs"), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "index.html").read_text()
    assert "Dual Cross-Attention" in index
    # The pages work offline.
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img)[^>]+(?:src|href)=\"(http[^\"]+)",
            page.read_text(),
        )
        assert not loaded, (page, loaded)


@pytest.mark.slow
def test_a_click_on_a_heading_sorts_a_table(tmp_path):
    browser = shutil.which("chromium") or pytest.skip("chromium is missing")
    rows = ("a", "9.5"), ("b", "1,200"), ("c", "not measured"), ("d", "77")
    script = (ROOT / "docs" / "_static" / "sort.js").read_text()
    page = tmp_path / "page.html"
    page.write_text(
        "<div class=sortable><table><thead><tr><th>name<th>ms</thead><tbody>"
        + "".join(f"<tr><td>{name}<td>{ms}" for name, ms in rows)
        + f"""</tbody></table></div><script>{script}</script><script>
        addEventListener("load", () => {{
            const button = document.querySelectorAll("th button")[1];
            for (const click of [1, 2]) {{
                button.click();
                const names = document.querySelectorAll("tbody tr");
                document.body.append(
                    "[" + [...names].map(row => row.cells[0].textContent) + "]"
                );
            }}
        }});</script>"""
    )
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu"]
        + ["--virtual-time-budget=2000", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    # The largest first, then the smallest; what is no number stays last.
    assert done.stdout.count("[b,d,a,c]") == 1
    assert done.stdout.count("[a,d,b,c]") == 1


def test_the_table_of_rules_is_what_the_rules_say():
    from dca_keras.planning import markdown_table

    text = (ROOT / "docs" / "rules.md").read_text()
    assert text.strip() == markdown_table().strip()
