"""How the fields of a recipe follow from the data: a function a field.

Each takes the `Facts` and returns a value, and the reason in words. The table
in `planning` says the same of all of them.
"""

import math

import numpy as np

from dca_keras.planning._memory import accelerators
from dca_keras.recipe import make_recipe

# Pixels or voxels that the network is given at most.
PIXELS, VOXELS = 256**2, 64**3
# Longest side, in sides of the network, of images that are resized.
LARGE = 2
# Greatest over least side of images that count as of one scale.
ONE_SCALE = 1.25
WIDTHS, GPU_WIDTHS = (16, 32, 64, 128, 256), (32, 64, 128, 256, 512)
# Smallest side of a volume that has all stages, not one less.
DEEP_SIDE = 64
BATCHES = {2: 8, 3: 2}  # for images, and for volumes
# Passes of an image, or of a volume, through the network in all epochs.
PASSES = {2: 8_000, 3: 5_000}
EPOCHS = (20, 200)  # at least and at most
MOST_EPOCHS = 1000  # where the user gives the minutes
MINUTES = 25
RATE = 1e-3


def channels(facts):
    return facts.data.channels, "what the images have"


def num_classes(facts):
    count = facts.data.num_classes
    if count == 1:
        return count, "the masks have a foreground and a background"
    return count, "the classes of the masks, with the background"


def spacing(facts):
    found = facts.data.spacing
    if found is None:
        return None, ""
    return tuple(round(side, 4) for side in found), "the median, in mm"


def filters(facts):
    widths, place = (GPU_WIDTHS, "GPU") if accelerators() else (WIDTHS, "CPU")
    stages = len(widths)
    if facts.is_volume and min(facts.median) < DEEP_SIDE:
        stages -= 1
    for count in dict.fromkeys((stages, len(widths))):
        found = widths[:count]
        if facts.build(facts.ample, filters=found, dca=False):
            return found, f"{count} stages, with widths for a {place}"
    return None, ""


def patch_size(facts):
    if not facts.given.get("dca", True):
        return None, ""
    usual = make_recipe(facts.model, facts.given["data"]).patch_size
    for patch in (4, 8, 16) if facts.is_volume else (usual, 8, 16):
        if facts.build(facts.ample, patch_size=patch):
            if patch == usual:
                return patch, "the architecture's in the paper"
            return patch, "the smallest that the architecture takes"
    return usual, "the architecture's in the paper"


def image_size(facts):
    stride, median = facts.stride, facts.median
    most = VOXELS if facts.is_volume else PIXELS
    if facts.bytes_per_pixel:
        most = min(most, int(facts.memory / facts.bytes_per_pixel))
    whole = f"the median {'volume' if facts.is_volume else 'image'} is "
    whole += in_words(median)
    sides = [-(-side // stride) * stride for side in median]
    if math.prod(sides) <= most:
        return tuple(sides), f"{whole}, rounded up to multiples of {stride}"
    if facts.is_volume:
        cut = _cut(sides, stride, most)
        return cut, f"{whole}, its longest sides cut to {most} voxels"
    zoom = math.sqrt(most / math.prod(median))
    sides = [int(zoom * side / stride) * stride for side in median]
    sides = tuple(max(side, stride) for side in sides)
    return sides, f"{whole}, made smaller to {most} pixels at most"


def sampling(facts):
    if facts.is_volume:
        return "crop", "volumes keep their scale"
    least, median, most = facts.data.shapes
    if max(median) <= LARGE * max(facts.values["image_size"]):
        return "resize", "the images are not much larger than that"
    if max(most) > ONE_SCALE * max(least):
        return "resize", "the images differ in size, so perhaps in scale"
    return "crop", "the images are large and of one scale"


def batch_size(facts):
    rank, cases = facts.data.rank, facts.data.cases
    usual = batch = min(BATCHES[rank], cases)
    each = facts.bytes_per_pixel * math.prod(facts.values["image_size"])
    while batch > 1 and batch * each > facts.memory:
        batch //= 2
    if batch < usual:
        return batch, "half of the memory holds no more"
    if usual == cases:
        return batch, "all that there are"
    return batch, f"usual for {'volumes' if rank == 3 else 'images'}"


def cache(facts):
    is_cut = facts.values["sampling"] == "crop"
    sides = facts.median if is_cut else facts.values["image_size"]
    values = math.prod(sides) * (facts.data.channels + 1)
    if 4 * values * facts.data.cases <= facts.memory / 2:
        return "memory", "a quarter of the memory holds all images"
    return "none", "all images would take over a quarter of the memory"


def epochs(facts):
    if "minutes" in facts.given:
        return MOST_EPOCHS, "at most; `--minutes` chooses"
    cases = facts.data.cases
    found = int(np.clip(round(PASSES[facts.data.rank] / cases), *EPOCHS))
    return found, f"for {cases} to train on; fewer where `--minutes` says so"


def minutes(facts):
    if "epochs" in facts.given:
        return None, ""
    return MINUTES, "at most, for training and scoring"


def learning_rate(facts):
    return RATE, "higher than the paper's, for fewer epochs"


def schedule(facts):
    return "cosine", "it ends with the epochs"


def warmup_epochs(facts):
    return min(1, facts.values["epochs"] - 1), "for a calm start"


def loss(facts):
    return "dice_loss", "the paper's"


def augment(facts):
    return True, "it makes up for more images"


def augment_intensity(facts):
    if facts.is_volume:
        return True, "scanners differ in brightness and contrast"
    return False, "as in the paper"


def dtype(facts):
    return "float32", "what every machine computes well"


def in_words(numbers, separator="x"):
    """Return numbers as options name them."""
    return separator.join(f"{number:g}" for number in numbers)


def _cut(sides, stride, most):
    """Shorten the longest sides until there are at most so many voxels.

    Thin sides, those of thick slices, stay as they are.
    """
    sides = list(sides)
    while math.prod(sides) > most and max(sides) > stride:
        sides[sides.index(max(sides))] -= stride
    return tuple(sides)
