"""The table of rules, and recipes made by it."""

import dataclasses
import typing
from pathlib import Path

from dca_keras import _fields
from dca_keras.planning import _deciding as decide
from dca_keras.planning._facts import Facts
from dca_keras.recipe import Recipe, follows_data, make_recipe

if typing.TYPE_CHECKING:
    from dca_keras.data import Fingerprint, Splits

READING = (
    *("data_dir", "partial", "channels", "num_classes", "classes"),
    *("images", "masks", "modality"),
    *("case_pattern", "fold", "seed", "protocol"),
)


class Rule(typing.NamedTuple):
    """How a field of a recipe follows from the data.

    Attributes:
        name: The field.
        decide: A function of `Facts` that gives the value, and the reason in
            words.
        images: The rule for images, in words.
        volumes: The rule for volumes, in words.
    """

    name: str
    decide: typing.Callable
    images: str
    volumes: str = "likewise"


# In the order in which they are decided: a rule looks at those before it.
RULES = (
    Rule("channels", decide.channels, "those of the images"),
    Rule(
        "num_classes",
        decide.num_classes,
        "1; for several classes their number, with the background",
    ),
    Rule("spacing", decide.spacing, "none", "the median of the volumes"),
    Rule(
        "filters",
        decide.filters,
        f"{decide.in_words(decide.WIDTHS, ',')}; with a GPU "
        f"{decide.in_words(decide.GPU_WIDTHS, ',')}",
        "likewise, without the last if the median volume has a side below "
        f"{decide.DEEP_SIDE}",
    ),
    Rule(
        "patch_size",
        decide.patch_size,
        "the architecture's in the paper",
        "the smallest from 4 on that the architecture takes",
    ),
    Rule(
        "image_size",
        decide.image_size,
        "the median image, rounded up to what the poolings divide; over "
        f"{decide.PIXELS} pixels it is made smaller",
        "the median volume after resampling, rounded up likewise; over "
        f"{decide.VOXELS} voxels its longest sides are cut",
    ),
    Rule(
        "sampling",
        decide.sampling,
        f"resize; crop where images are over {decide.LARGE} times larger than "
        f"that, with sides within a factor of {decide.ONE_SCALE}",
        "crop",
    ),
    Rule(
        "batch_size",
        decide.batch_size,
        f"{decide.BATCHES[2]}; less where half of the memory can't hold it",
        f"{decide.BATCHES[3]}, likewise",
    ),
    Rule(
        "cache",
        decide.cache,
        "memory; none where all would take over a quarter of it",
    ),
    Rule(
        "epochs",
        decide.epochs,
        f"{decide.PASSES[2]} divided by the images to train on, but "
        f"{decide.EPOCHS[0]} to {decide.EPOCHS[1]}; {decide.MOST_EPOCHS} where "
        "`--minutes` is given",
        f"{decide.PASSES[3]} divided by the volumes, likewise",
    ),
    Rule(
        "minutes",
        decide.minutes,
        f"{decide.MINUTES}, which may lower the epochs; none where "
        "`--epochs` is given",
    ),
    Rule("learning_rate", decide.learning_rate, f"{decide.RATE:g}"),
    Rule("schedule", decide.schedule, "cosine"),
    Rule("warmup_epochs", decide.warmup_epochs, "1"),
    Rule("loss", decide.loss, "dice_loss"),
    Rule("augment", decide.augment, "yes"),
    Rule("augment_intensity", decide.augment_intensity, "no", "yes"),
    Rule("dtype", decide.dtype, "float32"),
)


class Plan(typing.NamedTuple):
    """A recipe, and why it is so.

    Attributes:
        recipe: The `Recipe`.
        reasons: By the names of its fields, the value and the rule that it
            follows, in words.
        fingerprint: What was measured of the data set; None if nothing was.
    """

    recipe: Recipe
    reasons: dict[str, str]
    fingerprint: typing.Any = None


def plan_recipe(
    model: str = "unet",
    data: str = "image_folder",
    data_dir: str | Path | None = None,
    **given,
) -> Plan:
    """Read and measure a data set, and make its recipe by the rules.

    A data set with numbers of its own in `recipes.toml`, such as the paper's,
    gets the recipe of `make_recipe`, with no reasons.

    Args:
        model: Name of an architecture.
        data: Name of a data set.
        data_dir: Its folder.
        **given: Other fields of `Recipe`, which then don't follow the data.

    Returns:
        A `Plan`.

    Raises:
        ValueError: If the data set can't be read, or a value is wrong.
    """
    from dca_keras.data import read_dataset

    given |= {"data": data, "data_dir": data_dir}
    sides = given.get("image_size")
    # Wrong values are found before anything is read.
    recipe = make_recipe(model, **given)
    if not follows_data(data):
        return Plan(recipe, {})
    reading = {
        name: getattr(recipe, name)
        for name in READING
        if given.get(name) is not None
    }
    splits = read_dataset(data, **reading)
    given["image_size"] = sides
    fingerprint = _measure(splits, recipe.skip_broken)
    return plan(model, splits, fingerprint, given)


def plan(
    model: str, splits: "Splits", fingerprint: "Fingerprint", given: dict
) -> "Plan":
    """Make the recipe of a model for a data set, by the rules.

    Args:
        model: Name of an architecture.
        splits: The data set's `Splits`.
        fingerprint: What `dca_keras.data.measure` says of them.
        given: The fields of the recipe that are decided already, `data`
            among them, as a dictionary. None means not given.

    Returns:
        A `Plan`.

    Raises:
        ValueError: If a value is wrong, or `image_size` has not as many sides
            as the images.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if "image_size" in given:
        given["image_size"] = _as_sides(fingerprint.rank, given["image_size"])
    measured = fingerprint.at(given.get("spacing"))
    facts = Facts(model, measured, given, given.copy())
    reasons = {}
    for rule in RULES:
        if rule.name in given:
            reasons[rule.name] = "as given"
        else:
            value, reason = rule.decide(facts)
            facts.values[rule.name] = value
            if value is not None:
                reasons[rule.name] = reason
    recipe = make_recipe(model, **facts.values)
    reasons = {
        name: f"{_show(recipe, name)}: {reason}"
        for name, reason in reasons.items()
    }
    return Plan(recipe, reasons, fingerprint)


def markdown_table() -> str:
    """Return the rules as a Markdown table, for documentation."""
    lines = ["| Option | Images | Volumes |", "|---|---|---|"]
    for name, _, images, volumes in RULES:
        option = _fields.option_name(name)
        lines.append(f"| `{option}` | {images} | {volumes} |")
    return "\n".join(lines)


def _measure(splits, skip_broken):
    """Measure the samples that can be loaded; list all others."""
    from dca_keras.data import check_samples, measure

    try:
        return measure(splits)
    except ValueError:
        good, _ = check_samples(splits.train, skip_broken=skip_broken)
        return measure(dataclasses.replace(splits, train=good))


def _as_sides(rank, sides):
    if isinstance(sides, int):
        return (sides,) * rank
    if len(sides) != rank:
        kinds = ("images, height x width", "volumes, depth x height x width")
        raise ValueError(
            f"`image_size` must have {rank} sides, as the data set holds "
            f"{kinds[rank - 2]}. Received: {'x'.join(map(str, sides))}"
        )
    return tuple(sides)


def _show(recipe, name):
    value = getattr(recipe, name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return Recipe.__dataclass_fields__[name].metadata["rule"].show(value)
