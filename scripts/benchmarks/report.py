"""Measurements as Markdown, JSON and a picture."""

from pathlib import Path

from benchmarks.growth import curves
from dca_keras._environment import environment
from dca_keras._files import replace_file, write_json, write_text

_COLUMNS = {
    "what": lambda row: row["label"],
    "ms": lambda row: f"{row['seconds'] * 1e3:.1f}",
    "ratio": lambda row: f"{row['ratio']:.2f}",
    "peak GiB": lambda row: f"{row['peak_memory'] / 2**30:.2f}",
    "ratio of memory": lambda row: f"{row['memory_ratio']:.2f}",
    "parameters": lambda row: f"{row.get('parameters') or 0:,}",
    "GFLOP": lambda row: f"{(row.get('flops') or 0) / 1e9:.1f}",
    "build s": lambda row: f"{row.get('seconds_to_build') or 0:.1f}",
    "first step s": lambda row: f"{row.get('seconds_of_first_step') or 0:.1f}",
}


def write_report(folder, name, rows, **more):
    """Writes `name`.json, `name`.md and `name`.png into a folder.

    Args:
        folder: Made if missing.
        name: Of the files.
        rows: As of `compare_models`.
        **more: Further entries of the JSON file, which begins with the
            machine and the versions.
    """
    folder = Path(folder)
    results = {"environment": environment(), **more, "rows": rows}
    write_json(folder / f"{name}.json", results)
    write_text(folder / f"{name}.md", markdown(rows))
    _draw_bars(folder / f"{name}.png", rows)


def markdown(rows):
    """A table; a dash where nothing was measured."""
    lines = [list(_COLUMNS), ["---"] * len(_COLUMNS)]
    for row in rows:
        cells = [cell(row) for cell in _COLUMNS.values()]
        lines.append(["-" if c in ("0", "0.0") else c for c in cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_growth(folder, rows, exponents, name="growth"):
    """The same for what `measure_growth` returns, with curves for bars."""
    folder = Path(folder)
    write_report(folder, name, rows, exponents=exponents)
    text = f"{_exponent_table(exponents)}\n{markdown(rows)}"
    write_text(folder / f"{name}.md", text)
    _draw_curves(folder / f"{name}.png", rows)


def _exponent_table(exponents):
    """The p of the power laws `along ** p`."""
    lines = ["| along | of | step | model | p |", "|---|---|---|---|---:|"]
    for found in exponents:
        step = "training" if found["training"] else "prediction"
        model = "with DCA" if found["dca"] else "plain"
        words = found["axis"], found["measure"].replace("_", " "), step, model
        lines.append(f"| {' | '.join(words)} | {found['exponent']:.2f} |")
    return "".join(f"{line}\n" for line in lines)


def _draw_curves(path, rows):
    """Time and peak memory along each axis, on logarithmic scales."""
    from matplotlib.figure import Figure

    axes = list(dict.fromkeys(row["axis"] for row in rows))
    figure = Figure((4 * len(axes), 7), layout="constrained")
    grid = figure.subplots(2, len(axes), squeeze=False)
    for line, (measure, unit) in enumerate(
        (("seconds", "seconds a step"), ("peak_memory", "peak memory, bytes"))
    ):
        for (axis, training, dca), points in curves(rows, measure).items():
            panel = grid[line, axes.index(axis)]
            panel.loglog(
                *points,
                "o--" if training else "o-",
                color="tab:red" if dca else "tab:gray",
                label=("with DCA" if dca else "plain")
                + (", training" if training else ", prediction"),
            )
            # The points measured are the ticks; few others would fit.
            panel.set_xticks(points[0], map(str, points[0]))
            panel.set_xticks([], minor=True)
            panel.set(xlabel=axis, ylabel=unit)
    grid[0, 0].legend()
    with replace_file(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_bars(path, rows):
    from matplotlib.figure import Figure

    figure = Figure((10, 1 + 0.3 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    labels = [row["label"] for row in rows]
    places = range(len(rows))
    left.barh(places, [row["seconds"] * 1e3 for row in rows])
    right.barh(places, [row["peak_memory"] / 2**30 for row in rows])
    left.set_yticks(places, labels, fontsize=7)
    left.invert_yaxis()
    left.set_xlabel("milliseconds a step")
    right.set_xlabel("peak memory, GiB")
    with replace_file(path) as temporary:
        figure.savefig(temporary, dpi=120)
