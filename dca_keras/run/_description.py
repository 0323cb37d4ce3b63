"""A run in a few lines, as a Python prompt shows it."""

from dca_keras.recipe import SPLITS


def describe(run):
    """Return the text of a `Run`: what was trained, and how it scores."""
    lines = [f"Run({str(run.folder)!r})"]
    try:
        lines += [f"  {name:<7} {text}" for name, text in _facts(run) if text]
    except (ValueError, LookupError, TypeError) as error:
        lines.append(f"  {error}")
    return "\n".join(lines)


def _facts(run):
    """Yield names and texts; a text is empty where nothing is known."""
    recipe = run.recipe
    variant = "" if recipe.variant == "plain" else f" with {recipe.variant}"
    variant = variant.replace("dca", "DCA").replace("_", ", ")
    size = "×".join(map(str, (*recipe.image_size, recipe.channels)))
    yield "model", f"{recipe.model}{variant}, {size}"
    counts = ", ".join(
        f"{len(names)} {split}" for split, names in run.samples.items()
    )
    yield "data", f"{recipe.data}: {counts}"
    if not run.path("history").is_file():
        yield "epochs", f"0 of {recipe.epochs}"
        return
    best = run.best_epoch
    yield (
        "epochs",
        f"{len(run.history)} of {recipe.epochs}, best "
        f"{best['epoch']:.0f}: {recipe.monitor} "
        f"{best[recipe.monitor]:.4f}",
    )
    found = [s for s in SPLITS if run.path("metrics", s).is_file()]
    scores = {split: run.scores(split) for split in found}
    yield (
        "scores",
        "; ".join(
            f"{split}: Dice {of['dice']:.4f}, IoU {of['iou']:.4f}"
            for split, of in scores.items()
        ),
    )
