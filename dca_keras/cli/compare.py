"""The command `dca-keras compare`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dca_keras.cli._options import optional, out, print_line, print_warning


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of evaluated runs.", metavar="RUN RUN…"),
    ],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    output: optional(
        Path, "Folder to write comparison.json, .csv and .png to."
    ) = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Take a cross-validation of which folds are missing or "
            "overlap as far as it goes.",
        ),
    ] = False,
):
    """Print the scores of runs side by side, and their differences.

    The runs must have been scored on the same images. The folds of a
    cross-validation are one run that was scored on all images, each by the
    run that held it out. Runs that differ in
    nothing but the seed form a group; differences are to the first group.
    The 95 % intervals cover the choice of cases and of seeds; where one
    contains 0, these runs do not show which group is better. With one run a
    group they cover the cases only. Train five seeds or more.
    """
    from dca_keras.evaluation import compare as compare_runs

    comparison = compare_runs(runs, split, output, partial)
    print_line(
        f"{comparison['data']}, {split}: {comparison['images']} images of "
        f"{comparison['cases']} cases; distances in "
        f"{comparison['distance_unit']}"
    )
    out.print(_tabulate(comparison["groups"]))
    for group in comparison["groups"]:
        if len(group["runs"]) > 1:
            dice = ", ".join(f"{run['dice']:.4f}" for run in group["runs"])
            print_line(f"  Dice of each run of {group['name']}: {dice}")
        for run in group["runs"]:
            for fold in run.get("folds", ()):
                print_line(
                    f"  {group['name']}, fold {fold['fold']}: "
                    f"{len(fold['cases'])} cases, by {fold['folder']}"
                )
    for warning in comparison["warnings"]:
        print_warning(warning)
    if output is not None:
        for name in ("comparison.json", "comparison.csv", "comparison.png"):
            if (output / name).exists():
                print_line(f"  {output / name}")


def _tabulate(groups):
    """A table with a line for every score of every group."""
    from dca_keras.evaluation import DISTANCES, HEADINGS

    table = Table("", "model", box=None, padding=(0, 1, 0, 0))
    for heading in ("runs", "mean", "95 % interval", "minus 1st"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for name, heading in HEADINGS.items():
        form = ".2f" if name in DISTANCES else ".3f"
        for group in groups:
            difference = group.get("differences", {}).get(name)
            table.add_row(
                heading if group is groups[0] else "",
                group["name"],
                str(len(group["runs"])),
                *_cells(group["scores"][name], form),
                *(_cells(difference, f"+{form}") if difference else ()),
            )
        table.add_section()
    return table


def _cells(score, form):
    """A mean and its interval as texts."""
    mean, interval = score["mean"], score["interval"]
    return (
        "–" if mean is None else format(mean, form),
        " to ".join(format(end, form) for end in interval or ()),
    )
