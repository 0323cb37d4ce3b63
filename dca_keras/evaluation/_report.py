"""A page that tells a reader how well a model does, and on what."""

from dca_keras._drawing import CLASS_COLOURS
from dca_keras.evaluation._html import node, picture, table, write_page
from dca_keras.evaluation._scores import DISTANCES, MILLIMETRES, SCORES
from dca_keras.evaluation._wording import (
    DEFINITIONS,
    HEADINGS,
    count,
    find_warnings,
    name_data,
    name_model,
)
from dca_keras.plotting import OUTLINE_COLOURS

FACTS = {
    "parameters": "parameters",
    "epochs": "finished epochs",
    "best_epoch": "best epoch",
    "training_seconds": "training seconds",
}


def write_report(path, result, *, pictures, distribution, curve=None):
    """Writes the scores of a model as one HTML page that needs no other file.

    Args:
        path: The file to write.
        result: What `metrics.json` holds, see `dca_keras.evaluation`.
        pictures: For every image that is shown its label and its pictures,
            PNG files as bytes by their captions.
        distribution: A chart of the images' Dice, a PNG file as bytes.
        curve: A chart of the training, likewise, if there is one.
    """
    title = f"{name_model(result)} on {name_data(result)}"
    body = [
        node("h1", title),
        node("p", _describe(result)),
        *(node("p", text, class_="warning") for text in find_warnings(result)),
        *_show_scores(result),
        node("h2", "Dice of every image"),
        node("p", "A dot is an image; a box holds the middle half of them."),
        picture(distribution, "Dice of every image"),
        *_show_pictures(result, pictures),
    ]
    if curve is not None:
        body += [node("h2", "Training"), picture(curve, "Loss and Dice")]
    body += [*_show_facts(result), *_define(result)]
    write_page(path, title, body)


def _describe(result):
    height, width = result["image_size"]
    number = count(result["images"], "image")
    if result["cases"] != result["images"]:
        number += f" of {count(result['cases'], 'case')}"
    text = (
        f"Scored on {number}, the {result['split']} split of "
        f"{name_data(result)}, resized to {height}×{width} pixels."
    )
    if result.get("protocol") == "held_out" and result["split"] == "test":
        text += (
            " The model has not seen them: neither its weights nor the epoch "
            "were chosen by them."
        )
    return text


def _show_scores(result):
    yield node("h2", "Scores")
    yield node(
        "p",
        f"Means, and below each its {result['bootstrap']['level']:.0%} "
        f"interval. HD95 and ASSD are distances in {_unit(result)}.",
    )
    if result["cases"] != result["images"]:
        yield _score_table(result, result["over_cases"], "cases")
    yield _score_table(result, result, "images")


def _score_table(result, summary, kind):
    labels = {
        "foreground": "foreground",
        "with_background": "foreground and background",
    }
    rows = {
        label: summary[key] for key, label in labels.items() if key in summary
    }
    if len(summary["per_class"]) > 1:
        for index, scores in summary["per_class"].items():
            rows[result["class_names"][index]] = scores
    made = table(
        ["", *HEADINGS.values()],
        (
            [name, *(_cell(scores[key], key) for key in SCORES)]
            for name, scores in rows.items()
        ),
    )
    made.insert(0, node("caption", f"Over the {count(result[kind], kind)}"))
    return made


def _cell(score, name):
    """A score with its interval and what it leaves out."""
    shown = "{:.2f}" if name in DISTANCES else "{:.3f}"
    mean, interval = score["mean"], score["interval"]
    parts = ["undefined" if mean is None else shown.format(mean)]
    if interval is not None:
        low, high = (shown.format(end) for end in interval)
        parts.append(node("small", f"{low} to {high}"))
    if score["undefined"]:
        parts.append(node("small", f"undefined in {score['undefined']}"))
    return node("span", *parts)


def _show_pictures(result, pictures):
    yield node("h2", "Best, median and worst")
    yield node(
        "p",
        "Outlines of the ",
        _key("truth", "truth"),
        " and of the ",
        _key("prediction", "prediction"),
        "; ",
        _key("both", "white"),
        " where they agree.",
        *_name_colours(result["class_names"]),
    )
    for label, row in pictures:
        yield node("div", label)
        yield node(
            "div",
            *(
                node(
                    "figure",
                    picture(png, caption),
                    node("figcaption", caption),
                )
                for caption, png in row.items()
            ),
            class_="row",
        )


def _name_colours(class_names):
    """What colours mean in the pictures of several classes."""
    if len(class_names) == 1:
        return
    yield " Classes:"
    for index, name in class_names.items():
        if index != "0":
            colour = CLASS_COLOURS[(int(index) - 1) % len(CLASS_COLOURS)]
            yield node("span", " ■ ", style=f"color: {colour}")
            yield name


def _key(name, text):
    style = f"color: {OUTLINE_COLOURS[name]}"
    return node("span", text, class_="key", style=style)


def _show_facts(result):
    yield node("h2", "How the model came to be")
    if "command" in result:
        yield node("p", node("code", result["command"]))
    facts = {text: result[k] for k, text in FACTS.items() if k in result}
    for name in ("recipe", "versions", "hardware"):
        facts |= result.get(name) or {}
    yield node(
        "p",
        *(
            node("span", f"{name.replace('_', ' ')} ", node("b", _say(value)))
            for name, value in facts.items()
        ),
        class_="facts",
    )


def _define(result):
    bootstrap, published = result["bootstrap"], result["published"]
    method = (
        f"{bootstrap['level']:.0%}, {bootstrap['method']} "
        f"({bootstrap['resamples']:,} times, seed {bootstrap['seed']}). They "
        "tell what other images could change, not what another training "
        "could."
    )
    yield node("h2", "What the scores mean")
    texts = DEFINITIONS | {"Intervals": method}
    yield node(
        "dl",
        *(
            part
            for term, text in texts.items()
            for part in (node("dt", term), node("dd", text))
        ),
    )
    yield node("h2", "As the paper and the training compute them")
    yield node(
        "p",
        "With 1 added to both sides of every fraction, and the mean over all "
        "classes, the background among them if there are several.",
    )
    size = published["batch_size"]
    yield table(
        ["", "Dice", "IoU"],
        [
            [text, *(f"{score:.4f}" for score in scores)]
            for text, *scores in (
                (
                    f"As the paper: pixels pooled in batches of {size} images",
                    published["dsc"],
                    published["iou"],
                ),
                (
                    "As in training: the mean over images",
                    result["dice"],
                    result["iou"],
                ),
            )
        ],
    )


def _unit(result):
    if result["distance_unit"] == MILLIMETRES:
        return "millimetres"
    return result["distance_unit"]


def _say(value):
    if isinstance(value, dict | list | tuple):
        value = value.values() if isinstance(value, dict) else value
        return ", ".join(map(_say, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)
