"""The report: a page that says how well a model does, and on what."""

import base64

import jinja2

from dca_keras._drawing import CLASS_COLOURS
from dca_keras._files import write_text
from dca_keras.evaluation._scores import DISTANCES, MILLIMETRES
from dca_keras.evaluation._wording import (
    DEFINITIONS,
    HEADINGS,
    count,
    find_warnings,
    name_data,
    name_model,
)
from dca_keras.plotting import OUTLINE_COLOURS

_FACTS = {
    "parameters": "parameters",
    "epochs": "finished epochs",
    "best_epoch": "best epoch",
    "training_seconds": "training seconds",
}


def write_report(path, result, *, pictures, distribution, curve=None):
    """Write the scores of a model as one HTML page that needs no other file.

    Args:
        path: The file to write.
        result: What `metrics.json` holds, see `dca_keras.evaluation`.
        pictures: For every image that is shown its label and its pictures,
            PNG files as bytes by their captions.
        distribution: A chart of the images' Dice, a PNG file as bytes.
        curve: A chart of the training, likewise, if there is one.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dca_keras.evaluation", "."),
        autoescape=True,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = _data_uri
    millimetres = result["distance_unit"] == MILLIMETRES
    write_text(
        path,
        environment.get_template("report.html.jinja").render(
            result=result,
            title=f"{name_model(result)} on {name_data(result)}",
            description=_describe(result),
            warnings=find_warnings(result),
            headings=HEADINGS,
            distances=DISTANCES,
            unit="millimetres" if millimetres else result["distance_unit"],
            short_unit="mm" if millimetres else "pixels",
            level=_percent(result["bootstrap"]["level"]),
            rows=lambda summary: _rows(result, summary),
            pictures=pictures,
            distribution=distribution,
            curve=curve,
            classes=_colour_classes(result["class_names"]),
            outline_colours=OUTLINE_COLOURS,
            facts=_list_facts(result),
            definitions=DEFINITIONS
            | {"Intervals": _describe_intervals(result["bootstrap"])},
            count=count,
        ),
    )


def _data_uri(png):
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _describe(result):
    size = "×".join(str(side or "any") for side in result["image_size"])
    number = count(result["images"], "image")
    if result["cases"] != result["images"]:
        number += f" of {count(result['cases'], 'case')}"
    text = (
        f"Scored on {number}, the {result['split']} split of "
        f"{name_data(result)}, "
    )
    if result.get("grid") == "original":
        text += f"at their own size; the model works at {size} pixels."
    else:
        text += f"resized to {size} pixels."
    if result.get("protocol") == "held_out" and result["split"] == "test":
        text += (
            " The model has not seen them: they were used neither to train it "
            "nor to choose the best epoch."
        )
    return text


def _rows(result, summary):
    """The rows of a table of scores: what they are of, and the scores."""
    names = result["class_names"]
    rows = [(names[i], scores) for i, scores in summary["per_class"].items()]
    if len(rows) == 1:
        return rows
    return [
        ("foreground", summary["foreground"]),
        ("foreground and background", summary["with_background"]),
        *rows,
    ]


def _colour_classes(class_names):
    """What colours mean in the pictures of several classes."""
    return {
        name: CLASS_COLOURS[(int(index) - 1) % len(CLASS_COLOURS)]
        for index, name in class_names.items()
        if index != "0"
    }


def _list_facts(result):
    facts = {text: result[k] for k, text in _FACTS.items() if k in result}
    for name in ("recipe", "versions", "hardware"):
        facts |= result.get(name) or {}
    return [(name.replace("_", " "), _say(x)) for name, x in facts.items()]


def _describe_intervals(bootstrap):
    return (
        f"{_percent(bootstrap['level'])}, {bootstrap['method']} "
        f"({bootstrap['resamples']:,} times, seed {bootstrap['seed']}). They "
        "cover the choice of the cases for this one trained model. They do "
        "not cover the training: with another seed the same recipe can score "
        "outside of them. `dca-keras compare` takes several seeds together."
    )


def _percent(level):
    return f"{level:.0%}".replace("%", " %")


def _say(value):
    if isinstance(value, dict | list | tuple):
        value = value.values() if isinstance(value, dict) else value
        return ", ".join(map(_say, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)
