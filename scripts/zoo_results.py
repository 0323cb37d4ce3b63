"""What the results in `zoo/results` are of, and what their files are called."""

import re

from dca_keras.recipe import Recipe

# What happens to the skips, as the fields of a recipe.
VARIANTS = {
    "plain": {"dca": False},
    "dca_control": {"channel_attention": False, "spatial_attention": False},
    "dca_channel": {"spatial_attention": False},
    "dca_spatial": {"channel_attention": False},
    "dca": {},
    "dca_identity": {"start": "identity"},
}
# The fields of a recipe that say what happens to the skips, as DCA has them.
SKIPS = {
    "dca": True,
    "start": "paper",
    "channel_attention": True,
    "spatial_attention": True,
}
LAST = "last_epoch"  # The folder of the last epochs' scores.
LAST_EPOCH = (
    "Of every run the last epoch was scored, which no images chose: "
    "`dca-keras evaluate RUN --epoch last --output RUN/last_epoch`."
)


def is_volume(result):
    """Whether a result is one of a model of volumes."""
    return len(result["recipe"]["image_size"]) == 3


def is_last(result):
    """Whether a result is that of a run's last epoch, not of its best."""
    return result.get("epoch") == "last"


def name_commands(results):
    """Return the commands that trained the runs of a table, as text."""
    # The recipe of a model with DCA names all that follows from the data.
    first = max((result for _, result in results), key=lambda r: r["dca"])
    seeds = {result["seed"] for _, result in results}
    variants = {result["variant"] for _, result in results}
    recipe = first["recipe"] | SKIPS | {"seed": min(seeds)}
    command = Recipe.from_dict(recipe).command()
    text, other = f"`{command}`", []
    for name in VARIANTS:
        if name in variants and name != "dca":
            own = Recipe.from_dict(recipe | VARIANTS[name]).command()
            options = [x for x in own.split() if x not in command.split()]
            other.append(f"`{' '.join(options)}`")
    if len(seeds) > 1:
        other.append("other seeds")
    if other:
        text += ", and the same with " if "dca" in variants else " with "
        text += " and ".join(filter(None, [", ".join(other[:-1]), other[-1]]))
    return text


def name_range(numbers):
    """Return the range of some numbers, rounded to whole ones, as text."""
    low, high = f"{min(numbers):.0f}", f"{max(numbers):.0f}"
    return low if low == high else f"{low} to {high}"


def list_seeds(pairs):
    """Return the seeds of results, each once, as text."""
    return ", ".join(map(str, sorted({r["seed"] for _, r in pairs})))


def name_files(pairs):
    """Return a pattern of the names that the results' files have."""
    path, result = pairs[0]
    stem = path.name.rsplit("-seed", 1)[0]
    folder = f"{LAST}/" if is_last(result) else ""
    return f"`{folder}{re.sub(r'-fold.*', '-fold*', stem)}-seed*.json`"
