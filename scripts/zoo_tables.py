"""The tables of `zoo/README.md`, from the results beside it."""

import json
from pathlib import Path

from dca_keras._files import write_text
from dca_keras.evaluation import compare
from dca_keras.recipe import complete, make_recipe
from dca_keras.zoo import list_models
from zoo_results import (
    LAST,
    LAST_EPOCH,
    SKIPS,
    is_last,
    is_volume,
    list_seeds,
    name_commands,
    name_files,
    name_range,
)
from zoo_volume_tables import volume_table

HEADINGS = {
    "plain": "plain",
    "dca_control": "no attention, the rest of DCA",
    "dca_channel": "CCA alone",
    "dca_spatial": "SCA alone",
    "dca": "DCA",
    "dca_identity": "DCA from the identity start, ours",
}
PAPER_DATA = {
    "glas": "GlaS",
    "monuseg": "MoNuSeg",
    "cvc_clinicdb": "CVC-ClinicDB",
    "kvasir_seg": "Kvasir-SEG",
    "synapse": "Synapse",
}
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def write_tables(zoo):
    """Write the tables of `README.md` from the files beside it.

    Args:
        zoo: The folder with `README.md`, `paper.json`, `peers.json` and
            `results`.

    Raises:
        ValueError: If `README.md` lacks the marks between which they stand.
    """
    zoo = Path(zoo)
    readme = (zoo / "README.md").read_text(encoding="utf-8")
    if not 0 <= readme.find(BEGIN) < readme.find(END):
        raise ValueError(f"{zoo / 'README.md'} lacks {BEGIN} and {END}.")
    before, after = readme.split(BEGIN)[0], readme.split(END)[1]
    tables = make_tables(zoo)
    write_text(
        zoo / "README.md", f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"
    )


def make_tables(zoo):
    """Return the tables as Markdown: the paper's, then every other setting."""
    paper = _read(zoo / "paper.json")
    peers = _read(zoo / "peers.json")
    groups = {}
    paths = (zoo / "results").rglob("*.json")
    # The last epoch of a run follows its best one.
    for path in sorted(paths, key=lambda x: (x.name, x.parent.name == LAST)):
        result = _read(path)
        result.setdefault("split", result.get("part"))
        if "recipe" in result:
            groups.setdefault(_setting(result), []).append((path, result))
    full = [
        result
        for results in groups.values()
        for _, result in results
        if is_full(result["recipe"])
        and result["protocol"] == "paper"
        and not is_last(result)
    ]
    tables = [_paper_table(paper, full)]
    for results in groups.values():
        if is_volume(results[0][1]):
            tables.append(volume_table(results, HEADINGS, peers))
        else:
            tables.append(_other_table(paper, results))
    return "\n\n".join(tables)


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def is_full(recipe):
    """Whether a recipe is the paper's.

    The skips, the seed, the protocol and the number format are free.
    """
    base = make_recipe(recipe["model"], recipe["data"]).to_dict()
    free = {"data_dir", "cache", "seed", "protocol", "dtype", *SKIPS}
    return recipe["data"] in PAPER_DATA and all(
        _plain(recipe.get(name, value)) == _plain(value)
        for name, value in base.items()
        if name not in free
    )


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def _setting(result):
    """What must be equal for two results to stand in one table."""
    free = ("seed", "fold", "cache", *SKIPS)
    if is_volume(result):  # Where it follows the data, it is DCA's alone.
        free += ("patch_size",)
    recipe = complete(result["recipe"]).items()
    recipe = {k: v for k, v in recipe if k not in free}
    return json.dumps(
        [recipe, result["split"], is_last(result)], sort_keys=True
    )


def _paper_table(paper, full):
    heads = [f"{x}, paper | {x}, ours" for x in PAPER_DATA.values()]
    lines = [
        "Published DSC (pixels pooled over a batch), 224×224, 200 epochs. "
        f"Paper: {paper['source']}; one training a cell, the best epoch chosen "
        "on the test split. Ours: the full recipe with `--protocol paper`, "
        "which chooses the epoch in the same way; means over trainings, with "
        "their number.",
        "",
        "| model | skips | " + " | ".join(heads) + " |",
        "|---|---|" + "---:|" * (2 * len(heads)),
    ]
    for model in list_models():
        for variant in ("plain", "dca"):
            cells = [f"`{model}`", HEADINGS[variant]]
            for data in PAPER_DATA:
                theirs = paper[variant].get(model)
                cells.append(f"{theirs[data][0]:.4f}" if theirs else "none")
                mine = [
                    result["published"]["dsc"]
                    for result in full
                    if (result["model"], result["data"], result["variant"])
                    == (model, data, variant)
                ]
                cells.append(
                    f"{_mean(mine)} ({len(mine)})" if mine else "not run"
                )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _other_table(paper, results):
    first = results[0][1]
    by_variant = {
        name: [pair for pair in results if pair[1]["variant"] == name]
        for name in HEADINGS
    }
    paths = [path for pairs in by_variant.values() for path, _ in pairs]
    variants = [name for name, pairs in by_variant.items() if pairs]
    if len(paths) == 1:
        groups = [{"scores": first["over_cases"]["foreground"]}]
        warnings = ["With one run they cover the choice of cases only."]
    else:
        compared = compare(paths)
        groups, warnings = compared["groups"], compared["warnings"]
    if variants[0] != "plain":  # Differences are to plain, or left out.
        groups = [group | {"differences": {}} for group in groups]
    groups = dict(zip(variants, groups, strict=False))
    lines = [
        *_describe(first, results, warnings),
        "",
        "| skips | seeds | Dice | 95 % interval | minus plain | 95 % interval "
        "| IoU | HD95 | published DSC | paper's, full recipe | results |",
        "|---|---|" + "---:|" * 8 + "---|",
    ]
    # Controls have a row where they were run.
    for name in [x for x in HEADINGS if x in ("plain", "dca", *variants)]:
        pairs, group = by_variant[name], groups.get(name)
        published = paper.get(name, {}).get(first["model"], {})
        paper_cell = published.get(first["data"])
        cells = [HEADINGS[name]]
        if not pairs or group is None:
            cells += ["not run"] + [""] * 9
        else:
            cells += _cells(pairs, group)
            cells += [f"{paper_cell[0]:.4f}" if paper_cell else "none"]
            cells += [name_files(pairs)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(pairs, group):
    dice, iou, hd95 = (group["scores"][k] for k in ("dice", "iou", "hd95"))
    difference = group.get("differences", {}).get("dice")
    return [
        list_seeds(pairs),
        f"{dice['mean']:.4f}",
        _interval(dice["interval"]),
        f"{difference['mean']:+.4f}" if difference else "",
        _interval(difference["interval"], "+") if difference else "",
        f"{iou['mean']:.4f}",
        "undefined" if hd95["mean"] is None else f"{hd95['mean']:.1f}",
        _mean([result["published"]["dsc"] for _, result in pairs]),
    ]


def _describe(first, results, warnings):
    recipe, hardware = first["recipe"], first["hardware"]
    data = recipe["data_dir"] or first["data"]
    kind = "the paper's recipe" if is_full(recipe) else "reduced"
    if first["protocol"] == "paper":
        kind += " and protocol"
    if recipe["dtype"] != "float32":
        kind += f", {recipe['dtype'].replace('_', ' ')}"
    if is_last(first):
        kind += ", last epoch"
        warnings = [LAST_EPOCH, *warnings]
    elif first["protocol"] == "paper":
        warnings = [
            "The best epoch was chosen on the images that are scored, as in "
            "the paper, which favours them: expect less on new images.",
            *warnings,
        ]
    seconds = [result["training_seconds"] for _, result in results]
    return [
        f"### `{first['model']}` on {data}, {kind}",
        "",
        f"{name_commands(results)}. "
        f"{recipe['epochs']} epochs, {'×'.join(map(str, recipe['image_size']))}"
        f" pixels, {first['images']} images in {first['cases']} cases; "
        f"{name_range(seconds)} seconds of training a run "
        f"on {hardware['processor']}, {hardware['cpus']} cores. "
        f"Dice, IoU and HD95 ({first['distance_unit']}) are means over seeds "
        "and cases. The intervals cover the choice of both (nested bootstrap, "
        "see `dca_keras.evaluation.compare`); where one contains 0, these runs "
        "do not show which is better. " + " ".join(warnings),
    ]


def _mean(values):
    return f"{sum(values) / len(values):.4f}"


def _interval(bounds, sign=""):
    return f"{bounds[0]:{sign}.4f} to {bounds[1]:{sign}.4f}"
