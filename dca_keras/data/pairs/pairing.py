"""Pair the images of a folder with their masks."""

from pathlib import Path
from typing import NamedTuple

from dca_keras.data.archive import list_folder, shorten
from dca_keras.data.pairs.kinds import explain_missing, tell_apart, two_masks
from dca_keras.data.pairs.listing import (
    LAYOUT,
    NAMES,
    SPLITS,
    kind_of,
    list_files,
)
from dca_keras.data.pairs.matching import (
    best_match,
    join_series,
    match,
    match_channels,
)


class Pair(NamedTuple):
    """An image and its mask.

    Attributes:
        name: Unique in the data set.
        case: The patient or slide that it comes from.
        split: "train", "val" or "test", or None.
        images: The image file, or one for each channel.
        mask: The mask file.
        relative: The image file below the data set's folder, with "/".
    """

    name: str
    case: str
    split: str | None
    images: tuple[Path, ...]
    mask: Path
    relative: str


class Pairs(NamedTuple):
    """What was found in a folder.

    Attributes:
        pairs: A `Pair` for every image, sorted.
        rule: In words, how names belong together.
        left_out: The files that belong to no pair.
    """

    pairs: tuple[Pair, ...]
    rule: str
    left_out: tuple[str, ...] = ()


def find_pairs(root, images=None, masks=None):
    """Pair the images in a folder, and those below it, with their masks.

    Folders with names such as images, imgs, masks, labels, annotations, gt
    and ground_truth say what is what; otherwise names do, such as
    NAME_mask.png beside NAME.png. The two names have one part in common, and
    the rest is the same for all images, and for all masks.

    Args:
        root: The folder.
        images: A folder in it, or a pattern of names, of images; None finds
            them.
        masks: The same of masks.

    Returns:
        The `Pairs`.

    Raises:
        ValueError: If images have no mask, or several, or it can't be told
            which files are masks. It names files and what to do.
    """
    root = Path(root)
    files = list_files(root)
    if not files:
        explain_missing(root)
    drawn, taken, others = tell_apart(root, files, images, masks)
    drawn = join_series(drawn, taken)
    found = match(drawn, taken) or match_channels(drawn, taken)
    if found is None:
        found = best_match(drawn, taken)
        extra = _set_aside(root, found, images, masks)
        others = [*others, *extra]
    return _to_pairs(root, found, others)


def _set_aside(root, found, images, masks):
    """Return what may be left out; raise if files have no partner."""
    for key in sorted(found.pairs, key=str):
        own, other = found.images[key], found.masks[key]
        if len(own) > 1:
            raise ValueError(
                f"{own[0].path} and {own[1].path.name} have the same name. "
                "Remove one, or rename it and its partner."
            )
        if len(other) > 1:
            raise ValueError(two_masks(own[0], other))
    alone = [
        [f for key in sorted(a.keys() - b.keys(), key=str) for f in a[key]]
        for a, b in (
            (found.images, found.masks),
            (found.masks, found.images),
        )
    ]
    stems = {
        found.images[key][0].stem: found.images[key][0] for key in found.pairs
    }
    if masks is not None and images is None:
        # Other masks of the same images, of another observer perhaps.
        extra = [f for f in alone[0] if _of_image(f, stems)]
        if len(extra) == len(alone[0]) and not alone[1] and found.pairs:
            return extra
    for file in alone[1]:
        if (image := _of_image(file, stems)) is not None:
            key = next(k for k in found.pairs if found.images[k][0] is image)
            raise ValueError(two_masks(image, [*found.masks[key], file]))
    raise ValueError(_alone(root, found, *alone))


def _of_image(file, stems):
    """Return the image whose name a file's name begins with, or None."""
    cuts = (file.stem[:cut] for cut in range(len(file.stem) - 1, 0, -1))
    return next((stems[cut] for cut in cuts if cut in stems), None)


def _alone(root, found, images, masks):
    for file in images[:1]:
        if file.path.parent.name == "images":
            list_folder(file.path.parents[1] / "masks", LAYOUT)
    texts = [
        f"{len(files)} {kind} without {partner}: "
        + shorten(["/".join((*file.rest, file.stem)) for file in files])
        for files, kind, partner in (
            (images, "images", "mask"),
            (masks, "masks", "image"),
        )
        if files
    ]
    rule = f" (here {found.rule})" if found.pairs else ""
    return (
        f"{root} has {', and '.join(texts)}. An image and its mask must have "
        f"the same name, or differ by one beginning or ending{rule}. Add what "
        "is missing, or move the rest out of the folder."
    )


def _to_pairs(root, found, others):
    keys = sorted(found.pairs, key=lambda key: (key[1], str(key[2])))
    rests = [found.images[key][0].rest for key in keys]
    outer = _outer(rests)
    pairs = []
    for key in keys:
        image, mask = found.images[key][0], found.masks[key][0]
        several = len(found.images[key]) > 1 or "_0000" in found.rule
        stem = key[2] if several else image.stem
        name = "/".join((*image.rest[outer:], stem))
        name = name if key[0] is None else f"{key[0]}-{name}"
        paths = tuple(file.path for file in found.images[key])
        pairs.append(Pair(name, name, key[0], paths, mask.path, image.relative))
    _check_splits(root, pairs)
    return Pairs(
        tuple(pairs), found.rule, tuple(sorted(f.relative for f in others))
    )


def _outer(rests):
    """Return how many folders all files lie in."""
    first, last = min(rests), max(rests)
    count = 0
    while count < min(len(first), len(last)) and first[count] == last[count]:
        count += 1
    return count


def _check_splits(root, pairs):
    splits = {pair.split for pair in pairs}
    if None not in splits or len(splits) == 1:
        return
    named = [split for split in SPLITS if split in splits]
    path = next(pair.relative for pair in pairs if pair.split is None)
    place = path.split("/")[0]
    if kind_of(place) is not None or place == path:
        raise ValueError(
            f"{root} has {place}/ as well as {named}. Move it into one of "
            "them, or out of the folder."
        )
    raise ValueError(
        f"{root} has {place} with images/ and masks/ beside {named}: no name "
        f"of a split. Rename it to one of {', '.join(NAMES)}, or move it out "
        "of the folder."
    )
