"""Options, arguments and printing that several commands share."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand

out, err = Console(), Console(stderr=True)

# What options of earlier versions are called now. They work for one more
# version, with a warning; rename the option, and add a line here.
RENAMED = {
    "--part": ("--split",),
    "--flips": ("--tta",),
}

RunFolder = Annotated[
    Path, typer.Argument(help="A folder that `train` made.", metavar="RUN")
]


class Command(TyperCommand):
    """A command that still takes options by their earlier names."""

    def parse_args(self, ctx, args):
        known = {name for option in self.params for name in option.opts}
        words = []
        for word in args:
            name, *value = word.split("=", 1)
            if name not in RENAMED or name in known:
                words.append(word)
                continue
            now = list(RENAMED[name])
            print_warning(
                f"`{name}` is now `{shlex.join(now)}`. The earlier name works "
                "in this version only."
            )
            words += ["=".join([*now, *value])] if value else now
        return super().parse_args(ctx, words)


def optional(kind, help, *names):
    """An option that is None where it isn't given."""
    return Annotated[kind | None, typer.Option(*names, help=help)]


DataDir = optional(Path, "The dataset's folder.")
ImageSize = optional(str, "256, or 192x256: height x width.")
Channels = optional(int, "3 for colour, 1 for grey.")
NumClasses = optional(int, "1, or the number of classes with the background.")
EmptyMasks = optional(
    bool,
    "Whether masks may be without foreground.",
    "--empty-masks/--no-empty-masks",
)
SkipBroken = optional(
    bool, "Go on without images that can't be used.", "--skip-broken"
)
Partial = optional(bool, "Be content with a part of an archive.", "--partial")


def sides(text):
    """The height and width that a text such as 192x256 or 256 names."""
    found = integers("--image-size", text, "x")
    return found * 2 if found and len(found) == 1 else found


def integers(option, text, separator):
    """The integers of a text; None where the option isn't given."""
    if text is None:
        return None
    try:
        return [int(number) for number in text.lower().split(separator)]
    except ValueError:
        raise ValueError(
            f"`{option}` must be integers with {separator!r} between them. "
            f"Received: {text!r}"
        ) from None


def print_line(text):
    """Prints to standard output what a program may read."""
    out.print(text, soft_wrap=True, highlight=False, markup=False)


def print_warning(message):
    """Prints to standard error what the user should know."""
    text = Text.assemble(("Warning: ", "bold yellow"), message)
    err.print(text, soft_wrap=True)


def print_error(error):
    """Prints to standard error what the user can mend."""
    text = Text.assemble(("Error: ", "bold red"), str(error))
    err.print(text, soft_wrap=True)


def print_scores(scores):
    """Prints what `evaluate_run` returned, in a line."""
    print_line(
        f"{scores['split']}: Dice {scores['dice']:.4f}, "
        f"IoU {scores['iou']:.4f} (means over {scores['images']} images)"
    )
    if scores["protocol"] == "paper":
        print_line("  The epoch was chosen by these very images: too high.")
