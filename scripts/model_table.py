"""Write `docs/model_table.md`: what each model costs, and what it scores.

    python scripts/model_table.py

Every figure is from a file in `zoo/`: the cards, `benchmarks/models.json`,
`paper.json` and `results/`.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import typer

from dca_keras._files import write_text
from dca_keras.zoo import list_models
from zoo_results import name_range
from zoo_tables import PAPER_DATA

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = {"plain": "plain", "dca": "DCA"}
COUNTS = re.compile(r"Parameters: ([\d,]+) plain, ([\d,]+) with DCA")
COSTS = ("M parameters", "ms an image", "ms a step", "GiB a step")
MISSING = "not measured"
MARK = "<!-- columns -->"  # What the columns of ours mean stands below.


class Column(NamedTuple):
    """A setting that several models may have been trained in.

    Args:
        data: The data set, or the name of its folder.
        sides, epochs: As in the recipe.
        filters: As in the recipe, empty for the architecture's own.
        cases: Those that were held out for the score.
    """

    data: str
    sides: tuple
    filters: tuple
    epochs: int
    cases: int

    def __str__(self):
        sides = "×".join(map(str, self.sides))
        widths = "full width"
        if self.filters:
            widths = f"widths {', '.join(map(str, self.filters))}"
        return (
            f"{self.data}: {self.epochs} epochs at {sides}, {widths}, "
            f"{self.cases} held-out cases"
        )


def make_table(zoo):
    """Return the table as Markdown, with what its columns mean below it."""
    paper = _read(zoo / "paper.json")
    costs = _costs(_read(zoo / "benchmarks" / "models.json")["rows"])
    scores = _scores(zoo / "results")
    columns = sorted({column for _, _, column in scores}, key=str)
    heads = [
        *COSTS,
        *(f"{name}, paper" for name in PAPER_DATA.values()),
        *(_head(column, columns) for column in columns),
    ]
    lines = [
        f"| model | skips | {' | '.join(heads)} |",
        "|---|---|" + "---:|" * len(heads),
    ]
    for model in list_models():
        counts = COUNTS.search((zoo / f"{model}.md").read_text("utf-8"))
        counts = dict(zip(VARIANTS, counts.groups(), strict=True))
        for variant, name in VARIANTS.items():
            cells = [f"{int(counts[variant].replace(',', '')) / 1e6:.1f}"]
            cells += costs.get((model, variant), [MISSING] * 3)
            theirs = paper[variant].get(model, {})
            cells += [
                f"{theirs[data][0]:.4f}" if theirs else MISSING
                for data in PAPER_DATA
            ]
            for column in columns:
                found = scores.get((model, variant, column))
                mean = found and f"{sum(found.values()) / len(found):.4f}"
                cells.append(mean or MISSING)
            lines.append(f"| `{model}` | {name} | {' | '.join(cells)} |")
    lines += ["", MARK, "", "Ours, the mean Dice of cases and trainings:", ""]
    for column in columns:
        counts = [len(scores[key]) for key in scores if key[-1] == column]
        lines.append(f"- {column}; trainings a model: {name_range(counts)}")
    return "\n".join(lines) + "\n"


def _head(column, columns):
    """Return a column's name, with its widths where others share its data."""
    alike = [other for other in columns if other.data == column.data]
    if len(alike) == 1:
        return f"{column.data}, ours"
    own = column.filters
    widths = f"widths from {own[0]}" if own else "full width"
    return f"{column.data}, ours, {widths}"


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _costs(rows):
    """Return time of an image, time and memory of a step, by model."""
    found = {}
    for row in rows:
        key = row["model"], "dca" if row["dca"] else "plain"
        cells = found.setdefault(key, [MISSING] * 3)
        milliseconds = f"{1e3 * row['seconds']:.0f}"
        if row["training"]:
            cells[1:] = milliseconds, f"{row['peak_memory'] / 2**30:.1f}"
        else:
            cells[0] = milliseconds
    return found


def _scores(folder):
    """Return the Dice of every training, by model, variant and `Column`."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        result = _read(path)
        if result.get("variant") not in VARIANTS:
            continue
        if result["protocol"] == "paper":  # Chosen on what is scored.
            continue
        recipe = result["recipe"]
        column = Column(
            Path(recipe["data_dir"] or recipe["data"]).name,
            tuple(recipe["image_size"]),
            tuple(recipe["filters"] or ()),
            recipe["epochs"],
            result["cases"],
        )
        dice = result["over_cases"]["foreground"]["dice"]["mean"]
        key = result["model"], result["variant"], column
        # A training that was repeated in another number format counts once.
        training = result["seed"], recipe.get("fold")
        found.setdefault(key, {}).setdefault(training, dice)
    return found


def main():
    write_text(ROOT / "docs" / "model_table.md", make_table(ROOT / "zoo"))


if __name__ == "__main__":
    typer.run(main)
