"""The tables of `zoo/README.md` for models of volumes."""

from dca_keras.evaluation import compare
from zoo_results import (
    LAST_EPOCH,
    is_last,
    list_seeds,
    name_commands,
    name_files,
    name_range,
)

COLUMNS = "skips | seeds | Dice | 95 % interval | minus plain | 95 % interval"


def volume_table(results, headings, peers):
    """Return a data set's table for one model of volumes, as Markdown.

    Args:
        results: Pairs of a path and what it holds, of one setting.
        headings: The heading of each variant.
        peers: By the data set's folder what others published: dictionaries
            with `name`, `source` and `dice`, which is by class.
    """
    first = results[0][1]
    variants = [
        name
        for name in headings
        if any(result["variant"] == name for _, result in results)
    ]
    groups, warnings = _compare(results, variants)
    peers = peers.get(_data_name(first), [])
    names = {k: v for k, v in first["class_names"].items() if k != "0"}
    heads = [f"Dice, {name}" for name in names.values()]
    lines = [
        *_describe(first, results, warnings, peers),
        "",
        f"| {COLUMNS} | {' | '.join(heads)} | HD95 | ASSD | results |",
        "|---|---|" + "---:|" * (len(heads) + 6) + "---|",
    ]
    for name in variants:
        own = [pair for pair in results if pair[1]["variant"] == name]
        cells = [headings[name], *_cells(own, groups[name], names)]
        lines.append("| " + " | ".join(cells) + " |")
    for peer in peers:
        dice = [_number(peer["dice"].get(name), 2) for name in names.values()]
        cells = [peer["name"], *[""] * 5, *dice, "", "", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _compare(results, variants):
    """Each variant's scores, and differences where there is a plain model."""
    order = {name: place for place, name in enumerate(variants)}
    results = sorted(results, key=lambda pair: order[pair[1]["variant"]])
    if len(results) == 1:
        group = {"scores": results[0][1]["over_cases"]["foreground"]}
        return (
            {variants[0]: group},
            ["With one run they cover the choice of cases only."],
        )
    compared = compare([path for path, _ in results])
    groups = compared["groups"]
    if variants[0] != "plain":  # Differences are to plain, or left out.
        groups = [group | {"differences": {}} for group in groups]
    return dict(zip(variants, groups, strict=True)), compared["warnings"]


def _cells(pairs, group, names):
    scores = group["scores"]
    difference = group.get("differences", {}).get("dice")
    rows = [row for _, result in pairs for row in result["per_case"]]
    by_class = [
        [
            row["per_class"][index]["dice"]
            for row in rows
            if row["per_class"][index]["dice"] is not None
        ]
        for index in names
    ]
    return [
        list_seeds(pairs),
        _number(scores["dice"]["mean"]),
        _interval(scores["dice"]["interval"]),
        f"{difference['mean']:+.4f}" if difference else "",
        _interval(difference["interval"], "+") if difference else "",
        *(_number(sum(dice) / len(dice)) for dice in by_class),
        _number(scores["hd95"]["mean"], 2),
        _number(scores["assd"]["mean"], 2),
        name_files(pairs),
    ]


def _describe(first, results, warnings, peers):
    recipe, hardware = first["recipe"], first["hardware"]
    kind = "volumes, last epoch" if is_last(first) else "volumes"
    if is_last(first):
        warnings = [LAST_EPOCH, *warnings]
    minutes = [result["training_seconds"] / 60 for _, result in results]
    sources = [
        f"{peer['name']}: {peer['source']}, on other cases than ours."
        for peer in peers
    ]
    sides = "×".join(map(str, recipe["image_size"]))
    return [
        f"### `{first['model']}` on {_data_name(first)}, {kind}",
        "",
        f"{name_commands(results)}. "
        f"{recipe['epochs']} epochs, crops of {sides} voxels, widths "
        f"{', '.join(map(str, recipe['filters'] or ['its own']))}; "
        f"{first['images']} volumes in {first['cases']} cases held out; "
        f"{name_range(minutes)} minutes of training a run "
        f"on {hardware['processor']}, {hardware['cpus']} cores. HD95 and "
        f"ASSD are in {first['distance_unit']}. Scores are "
        "means over seeds and cases; the intervals cover the choice of both. "
        + " ".join([*warnings, *sources]),
    ]


def _data_name(result):
    return (result["recipe"]["data_dir"] or result["data"]).rstrip("/")


def _number(value, digits=4):
    return "undefined" if value is None else f"{value:.{digits}f}"


def _interval(bounds, sign=""):
    return f"{bounds[0]:{sign}.4f} to {bounds[1]:{sign}.4f}"
