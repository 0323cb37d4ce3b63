"""Options, arguments and printing that several commands share."""

import functools
import inspect
import json
import re
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand

from dca_keras._fields import option_name, parse, parse_integers, parse_text
from dca_keras._plugins import load_plugins
from dca_keras.recipe import PER_IMAGE_LOSS, Recipe

out, err = Console(), Console(stderr=True)

# What options of earlier versions are called now. They work for one more
# version, with a warning; rename the option, and add a line here.
RENAMED = {
    "--part": ("--split",),
    "--flips": ("--tta",),
    "--per-image-loss": ("--loss", json.dumps(PER_IMAGE_LOSS)),
    "--no-per-image-loss": ("--loss", "dice_loss"),
}

RunFolder = Annotated[
    Path, typer.Argument(help="A folder that `train` made.", metavar="RUN")
]
# Python arguments whose option has another name.
OTHER_NAMES = {
    "input_shape": "--image-size",
    "test_time_augmentation": "--tta",
    "window": "--windows",
}


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
    """Return an option that is None where it isn't given."""
    return Annotated[kind | None, typer.Option(*names, help=help)]


def recipe_option(name):
    """Return an option for a field of `Recipe`, None where it isn't given."""
    own = Recipe.__dataclass_fields__[name]
    option, kind = option_name(name), own.metadata["rule"].kind
    if kind is bool:
        option += option.replace("--", "/--no-", 1)
    return optional(kind, own.metadata["help"], option)


def recipe_options(*names):
    """Give a command an option for each of some fields of `Recipe`.

    The command takes those that are given as `**given`, their texts parsed.

    Args:
        *names: Of the fields.
    """

    def decorate(command):
        signature = inspect.signature(command)
        own = list(signature.parameters.values())[:-1]  # without **given
        options = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=recipe_option(name),
            )
            for name in names
        ]

        @functools.wraps(command)
        def parse_and_call(**values):
            for name in names:
                value = parse_option(name, values.pop(name))
                values |= {} if value is None else {name: value}
            return command(**values)

        parameters = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for p in (*options, *own)
        ]
        parse_and_call.__signature__ = signature.replace(parameters=parameters)
        return parse_and_call

    return decorate


def with_plugins(command):
    """Give a command the option `--plugin`, which imports modules first.

    A command with an argument `plugins` gets their names.
    """
    signature = inspect.signature(command)
    own = dict(signature.parameters)
    passed_on = own.pop("plugins", None)
    option = inspect.Parameter(
        "plugins",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=optional(
            list[str],
            "Module of yours to import first; can be given several times.",
            "--plugin",
        ),
    )

    @functools.wraps(command)
    def load_and_call(*, plugins=None, **values):
        plugins = tuple(plugins or ())
        load_plugins(plugins)
        if passed_on:
            values["plugins"] = plugins
        return command(**values)

    load_and_call.__signature__ = signature.replace(
        parameters=[*own.values(), option]
    )
    return load_and_call


def parse_option(name, text):
    """Return the value that an option's text gives a field of `Recipe`."""
    return parse(Recipe.__dataclass_fields__[name], text)


DataDir = recipe_option("data_dir")
ImageSize = recipe_option("image_size")
Channels = recipe_option("channels")
NumClasses = recipe_option("num_classes")
Partial = recipe_option("partial")


def sides(text):
    """Return the height and width that a text such as 192x256 or 256 names."""
    return parse_option("image_size", text)


def integers(option, text, separator):
    """Return the integers of a text; None where the option isn't given."""
    if text is None:
        return None
    return parse_text(option, text, lambda t: parse_integers(t, separator))


def name_options(message, command):
    """Put the command's options where a message names Python's arguments.

    "`batch_size` must be…" becomes "`--batch-size` must be…", and
    "`partial=True`" becomes "`--partial`".
    """
    params = getattr(command, "params", ())
    options = {p.name: p for p in params if p.param_type_name == "option"}

    def name(match):
        argument, value = match.groups()
        option = OTHER_NAMES.get(argument)
        if argument in options:
            off = options[argument].secondary_opts
            names = off if value == "False" and off else options[argument].opts
            option = max(names, key=len)
        elif option not in {o for p in params for o in p.opts}:
            return match[0]
        if value in (None, "True", "False"):
            return f"`{option}`"
        return f"`{option} {value}`"

    return re.sub(r"`(\w+)(?:=([^`]+))?`", name, message)


def print_line(text):
    """Print to standard output what a program may read."""
    out.print(text, soft_wrap=True, highlight=False, markup=False)


def print_warning(message):
    """Print to standard error what the user should know."""
    text = Text.assemble(("Warning: ", "bold yellow"), message)
    err.print(text, soft_wrap=True)


def print_error(error):
    """Print to standard error what the user can mend."""
    text = Text.assemble(("Error: ", "bold red"), str(error))
    err.print(text, soft_wrap=True)


def print_scores(scores):
    """Print what `evaluate_run` returned, in a line."""
    print_line(
        f"{scores['split']}: Dice {scores['dice']:.4f}, "
        f"IoU {scores['iou']:.4f} (means over {scores['images']} images)"
    )
    if scores["protocol"] == "paper":
        print_line("  The best epoch was chosen on these images: too high.")
