"""Hyperparameters as fields: one definition, from which all else follows.

A field of a dataclass says its name, its type, its default, its help and the
rule for its values. The check of a value, the option of the command and the
row of the documentation's table are made from that.
"""

import dataclasses
import json
import math
import re
import textwrap
import typing


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the values of a field must be, and how a command writes them.

    Args:
        text: What a value must be; a function where it depends on what is
            registered by then.
        holds: A function of a value: whether it is that.
        kind: What the command's option takes: `bool`, `int`, `float`, `str`.
        parse: A function of the option's text that gives the value; it raises
            `ValueError` that says what the text must be. `None` where `kind`
            does it.
        show: A function of a value that gives the option's text.
    """

    text: str | typing.Callable
    holds: typing.Callable
    kind: type = str
    parse: typing.Callable | None = None
    show: typing.Callable = str


def field(help, rule, default=dataclasses.MISSING):
    """Return a field of a dataclass that carries its help and its rule."""
    return dataclasses.field(
        default=default, metadata={"help": help, "rule": rule}
    )


def same_field(cls, name):
    """Return a field with the default, help and rule of another class's."""
    own = cls.__dataclass_fields__[name]
    return dataclasses.field(default=own.default, metadata=own.metadata)


def check(instance):
    """Raise `ValueError` that names the first wrong value and its rule."""
    for own in dataclasses.fields(instance):
        rule, value = own.metadata["rule"], getattr(instance, own.name)
        optional = type(None) in typing.get_args(own.type)
        if (value is None and optional) or rule.holds(value):
            continue
        text = rule.text if isinstance(rule.text, str) else rule.text()
        raise ValueError(
            f"`{own.name}` must be {text}{', or left out' if optional else ''}"
            f". Received: {value!r}"
        )


def option_name(name):
    """Return the command's option for a field's name: `--batch-size`."""
    return "--" + name.replace("_", "-")


def parse(own, text):
    """Return the value that a field gets by its option's text.

    Raises:
        ValueError: If the text can't be read.
    """
    rule = own.metadata["rule"]
    if text is None or rule.parse is None:
        return text
    return parse_text(option_name(own.name), text, rule.parse)


def parse_text(option, text, parse):
    """Return what `parse` reads in a text; its error names the option."""
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(
            f"`{option}` must be {error}. Received: {text!r}"
        ) from None


def to_words(own, value):
    """Return the words of a command that give a field a value."""
    option = option_name(own.name)
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    return [option, own.metadata["rule"].show(value)]


def docstring(cls):
    """Return what a dataclass's docstring says of its arguments."""
    lines = [
        textwrap.fill(
            f"{own.name}: {own.metadata['help']}",
            width=80,
            initial_indent=" " * 8,
            subsequent_indent=" " * 12,
        )
        for own in dataclasses.fields(cls)
    ]
    return "\n".join(["", "    Args:", *lines, "    "])


def markdown_table(instance):
    """Yield the lines of a table: options, an instance's values, helps."""
    yield "| Option | Default | What it is |"
    yield "|---|---|---|"
    for own in dataclasses.fields(instance):
        option, value = option_name(own.name), getattr(instance, own.name)
        if own.metadata["rule"].kind is bool:
            shown = "yes" if value else "no"
        else:
            shown = "" if value is None else own.metadata["rule"].show(value)
        yield f"| `{option}` | {shown} | {own.metadata['help']} |"


# === Rules ===


def is_positive_int(value):
    """Whether a value is an integer (a boolean is none) of at least 1."""
    return type(value) is int and value >= 1


def one_of(names):
    """A rule: one of some names, or of those that a function returns."""
    names_now = names if callable(names) else lambda: names
    return Rule(
        lambda: "one of " + ", ".join(map(repr, names_now())),
        lambda value: value in names_now(),
    )


def at_least(least):
    """A rule: an integer of at least `least`."""
    return Rule(
        f"an integer from {least}",
        lambda value: type(value) is int and value >= least,
        int,
    )


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def parse_integers(text, separator):
    """Return the integers of a text; `ValueError` says what it must be."""
    try:
        return [int(number) for number in text.lower().split(separator)]
    except ValueError:
        message = f"integers with {separator!r} between them"
        raise ValueError(message) from None


def _parse_sides(text):
    sides = parse_integers(text, "x")
    return sides * 2 if len(sides) == 1 else sides


def _parse_spacing(text):
    try:
        return [float(number) for number in text.lower().split("x")]
    except ValueError:
        message = "numbers with 'x' between them"
        raise ValueError(message) from None


def _is_fold(value):
    """Whether a value is text such as "0/5", the first of five folds."""
    match = isinstance(value, str) and re.fullmatch(r"(\d+)/(\d+)", value)
    return bool(match) and int(match[1]) < int(match[2]) and int(match[2]) > 1


def _are_counts(value):
    return (
        isinstance(value, tuple)
        and value != ()
        and all(map(is_positive_int, value))
    )


def _parse_identifier(text):
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"a name, or JSON of class_name and config ({error})"
        raise ValueError(message) from None


def _is_identifier(value):
    if not isinstance(value, dict):
        return isinstance(value, str) and value != ""
    return isinstance(value.get("class_name"), str) and isinstance(
        value.get("config", {}), dict
    )


SWITCH = Rule("True or False", lambda value: isinstance(value, bool), bool)
COUNT = Rule("a positive integer", is_positive_int, int)
POSITIVE = Rule(
    "a positive number",
    lambda value: _is_number(value) and 0 < value < math.inf,
    float,
)
NOT_NEGATIVE = Rule(
    "a number from 0",
    lambda value: _is_number(value) and 0 <= value < math.inf,
    float,
)
TEXT = Rule("text", lambda value: isinstance(value, str))
NAMES = Rule(
    "names",
    lambda value: (
        isinstance(value, tuple)
        and all(isinstance(name, str) for name in value)
    ),
    parse=lambda text: text.split(","),
    show=",".join,
)
SIDES = Rule(
    "two positive integers, (height, width), or three, (depth, height, width)",
    lambda value: _are_counts(value) and len(value) in (2, 3),
    parse=_parse_sides,
    show=lambda value: "x".join(map(str, value)),
)
SPACING = Rule(
    "three positive numbers, (depth, height, width)",
    lambda value: (
        isinstance(value, tuple)
        and len(value) == 3
        and all(map(POSITIVE.holds, value))
    ),
    parse=_parse_spacing,
    show=lambda value: "x".join(f"{side:g}" for side in value),
)
SHOWN = Rule(
    "three channels, counted from 0",
    lambda value: (
        isinstance(value, tuple)
        and len(value) == 3
        and all(isinstance(index, int) and index >= 0 for index in value)
    ),
    parse=lambda text: parse_integers(text, ","),
    show=lambda value: ",".join(map(str, value)),
)
FOLD = Rule("K/N, such as 0/5 for the first of five folds", _is_fold)
WIDTHS = Rule(
    "positive integers, one a stage",
    _are_counts,
    parse=lambda text: parse_integers(text, ","),
    show=lambda value: ",".join(map(str, value)),
)
# What Keras's own `get` takes, and JSON can hold.
IDENTIFIER = Rule(
    'a name, or {"class_name": …, "config": {…}}',
    _is_identifier,
    parse=_parse_identifier,
    show=lambda value: value if isinstance(value, str) else json.dumps(value),
)
