"""The paper's table, run again: trainings, their results, and the tables."""

import json
import shutil
from pathlib import Path

from dca_keras._files import replace_file, write_text
from dca_keras.evaluation import compare
from dca_keras.recipe import make_recipe
from dca_keras.training import train
from dca_keras.zoo import list_models

# What happens to the skips, as the fields of a recipe.
VARIANTS = {
    "plain": {"dca": False},
    "dca_control": {"channel_attention": False, "spatial_attention": False},
    "dca_channel": {"spatial_attention": False},
    "dca_spatial": {"channel_attention": False},
    "dca": {},
}
HEADINGS = {
    "plain": "plain",
    "dca_control": "no attention, the rest of DCA",
    "dca_channel": "CCA alone",
    "dca_spatial": "SCA alone",
    "dca": "DCA",
}
PAPER_DATA = {
    "glas": "GlaS",
    "monuseg": "MoNuSeg",
    "cvc_clinicdb": "CVC-ClinicDB",
    "kvasir_seg": "Kvasir-SEG",
    "synapse": "Synapse",
}
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def reproduce(
    data, models, variants, seeds, *, runs, results, console=None, **overrides
):
    """Trains every model in every variant with every seed.

    What is done is not done again, and a training that was stopped goes on.

    Args:
        data: Name of a dataset.
        models: Names of architectures.
        variants: Names in `VARIANTS`.
        seeds: Integers.
        runs: The folder for the runs.
        results: The folder that gets each run's `metrics.json`, named after
            the run.
        console: The `rich` console for the progress.
        **overrides: Other fields of `Recipe`; the paper's otherwise.

    Raises:
        ValueError: If a name is unknown, or a value or the dataset is wrong;
            all names and values are looked at before the first training.
    """
    if unknown := [name for name in variants if name not in VARIANTS]:
        raise ValueError(
            f"`variants` must be of {', '.join(VARIANTS)}. "
            f"Received: {', '.join(unknown)}"
        )
    recipes = [
        make_recipe(model, data, seed=seed, **(overrides | VARIANTS[variant]))
        for seed in seeds
        for model in models
        for variant in variants
    ]
    for recipe in recipes:
        name = _result_name(recipe)
        train(recipe, Path(runs) / name, resume=True, console=console)
        with replace_file(Path(results) / f"{name}.json") as temporary:
            shutil.copyfile(Path(runs) / name / "metrics.json", temporary)


def write_tables(zoo):
    """Writes the tables of `README.md` from the files beside it.

    Args:
        zoo: The folder with `README.md`, `paper.json` and `results`.

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
    """The tables as Markdown: the paper's, then one for each other setting."""
    paper = json.loads((zoo / "paper.json").read_text(encoding="utf-8"))
    groups = {}
    for path in sorted((zoo / "results").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if "recipe" in result:
            groups.setdefault(_setting(result), []).append((path, result))
    full = {
        (results[0][1]["model"], results[0][1]["data"]): results
        for results in groups.values()
        if _is_the_papers(results[0][1])
    }
    others = [r for r in groups.values() if not _is_the_papers(r[0][1])]
    tables = [_paper_table(paper, full)]
    return "\n\n".join(tables + [_other_table(paper, r) for r in others])


def _result_name(recipe):
    """Such as `unet-dca-monuseg-seed0`, by the folder where it has a name."""
    data = recipe.data
    if data == "image_folder":
        data = Path(recipe.data_dir).name
    reduced = "" if _is_full(recipe.to_dict()) else "-reduced"
    return f"{recipe.model}-{recipe.variant}-{data}{reduced}-seed{recipe.seed}"


def _is_full(recipe):
    """Whether a recipe is the paper's but for the attention and the seed."""
    base = make_recipe(recipe["model"], recipe["data"]).to_dict()
    free = {"data_dir", "cache", "seed", "dca", "protocol"}
    free |= {"channel_attention", "spatial_attention"}
    return recipe["data"] in PAPER_DATA and all(
        _plain(recipe.get(name, value)) == _plain(value)
        for name, value in base.items()
        if name not in free
    )


def _is_the_papers(result):
    return _is_full(result["recipe"])


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def _setting(result):
    """What must be equal for two results to stand in one table."""
    free = ("seed", "dca", "channel_attention", "spatial_attention", "cache")
    recipe = {k: v for k, v in result["recipe"].items() if k not in free}
    return json.dumps([recipe, result["part"]], sort_keys=True)


def _paper_table(paper, full):
    heads = [f"{x}, paper | {x}, ours" for x in PAPER_DATA.values()]
    lines = [
        "Published DSC (pixels pooled over a batch), 224×224, 200 epochs. "
        f"Paper: {paper['source']}; one training a cell, the best epoch chosen "
        "on the test part. Ours: means over seeds of the full recipe.",
        "",
        "| model | skips | " + " | ".join(heads) + " |",
        "|---|---|" + "---:|" * (2 * len(heads)),
    ]
    for model in list_models():
        for variant in ("plain", "dca"):
            cells = [f"`{model}`", HEADINGS[variant]]
            for data in PAPER_DATA:
                cells.append(f"{paper[variant][model][data][0]:.4f}")
                mine = [
                    result["published"]["dsc"]
                    for _, result in full.get((model, data), [])
                    if result["variant"] == variant
                ]
                cells.append(_mean(mine) if mine else "not run")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _other_table(paper, results):
    first = results[0][1]
    by_variant = {
        name: [pair for pair in results if pair[1]["variant"] == name]
        for name in VARIANTS
    }
    paths = [path for pairs in by_variant.values() for path, _ in pairs]
    variants = [name for name, pairs in by_variant.items() if pairs]
    compared = compare(paths)["groups"] if len(variants) > 1 else []
    if variants[0] != "plain":  # What `compare` then took its place.
        compared = [group | {"differences": {}} for group in compared]
    groups = dict(zip(variants, compared, strict=False))
    lines = [
        *_describe(first, results),
        "",
        "| skips | seeds | Dice | 95 % interval | minus plain | 95 % interval "
        "| IoU | HD95 | published DSC | paper's, full recipe | results |",
        "|---|---|" + "---:|" * 8 + "---|",
    ]
    for name in VARIANTS:
        pairs, group = by_variant[name], groups.get(name)
        published = paper.get(name, {}).get(first["model"], {})
        paper_cell = published.get(first["data"])
        cells = [HEADINGS[name]]
        if not pairs or group is None:
            cells += ["not run"] + [""] * 9
        else:
            cells += _cells(pairs, group)
            cells += [f"{paper_cell[0]:.4f}" if paper_cell else "none"]
            stem = pairs[0][0].name.rsplit("-seed", 1)[0]
            cells += [f"`{stem}-seed*.json`"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(pairs, group):
    seeds = ", ".join(str(result["seed"]) for _, result in pairs)
    dice, iou, hd95 = (group["scores"][k] for k in ("dice", "iou", "hd95"))
    difference = group.get("differences", {}).get("dice")
    return [
        seeds,
        f"{dice['mean']:.4f}",
        _interval(dice["interval"]),
        f"{difference['mean']:+.4f}" if difference else "",
        _interval(difference["interval"], "+") if difference else "",
        f"{iou['mean']:.4f}",
        "undefined" if hd95["mean"] is None else f"{hd95['mean']:.1f}",
        _mean([result["published"]["dsc"] for _, result in pairs]),
    ]


def _describe(first, results):
    recipe, hardware = first["recipe"], first["hardware"]
    data = recipe["data_dir"] or first["data"]
    seconds = [result["training_seconds"] for _, result in results]
    return [
        f"### `{first['model']}` on {data}, reduced",
        "",
        f"`{first['command']}`, and the same with other seeds, `--no-dca`, "
        "`--no-channel-attention` and `--no-spatial-attention`. "
        f"{recipe['epochs']} epochs, {'×'.join(map(str, recipe['image_size']))}"
        f" pixels, {first['images']} images in {first['cases']} cases; "
        f"{min(seconds):.0f} to {max(seconds):.0f} seconds of training a run "
        f"on {hardware['processor']}, {hardware['cpus']} cores. "
        f"Dice, IoU and HD95 ({first['distance_unit']}) are means over the "
        "cases and seeds, each image on its own; the intervals come from the "
        "bootstrap over cases and do not cover the choice of seeds.",
    ]


def _mean(values):
    return f"{sum(values) / len(values):.4f}"


def _interval(bounds, sign=""):
    return f"{bounds[0]:{sign}.4f} to {bounds[1]:{sign}.4f}"
