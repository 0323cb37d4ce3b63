"""Pair the images of a folder with their masks."""

import collections
import re
from pathlib import Path
from typing import NamedTuple

from dca_keras.data.archive import list_folder, shorten
from dca_keras.data.channels import group_channels
from dca_keras.data.formats import EXTENSIONS, split_name
from dca_keras.data.listing import (
    LAYOUT,
    NAMES,
    SPLITS,
    choose,
    kind_of,
    list_files,
)
from dca_keras.data.name_rules import (
    Rule,
    affixes,
    candidate_rules,
    is_mask_name,
)

LOSSY = (".jpg", ".jpeg", ".webp")
NIFTI = (".nii", ".nii.gz")
NUMBER = re.compile(r"_[0-9]{4}$")


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
        _explain_missing(root)
    drawn, taken, others = _tell_apart(root, files, images, masks)
    drawn = _join_series(drawn, taken)
    found = _match(drawn, taken) or _match_channels(drawn, taken)
    if found is None:
        found = _best(drawn, taken)
        extra = _set_aside(root, found, images, masks)
        others = [*others, *extra]
    return _to_pairs(root, found, others)


class _Match(NamedTuple):
    """Images and masks by what their names share."""

    rule: str
    images: dict  # lists of files, by key
    masks: dict

    @property
    def whole(self):
        return self.images.keys() == self.masks.keys() and all(
            len(own) == 1
            for files in (self.images, self.masks)
            for own in files.values()
        )

    @property
    def pairs(self):
        return self.images.keys() & self.masks.keys()


def _tell_apart(root, files, images, masks):
    """Return the images, the masks, and what is neither."""
    if images is None and masks is None:
        return _tell_by_folders(root, files)
    if masks is not None:
        taken = choose(root, files, masks, "masks")
    else:
        taken = None
    if images is not None:
        drawn = choose(root, files, images, "images")
        if taken is None:
            rest = [f for f in files if f not in set(drawn)]
            taken = [f for f in rest if f.kind == "mask"] or rest
    else:
        rest = [f for f in files if f not in set(taken)]
        drawn = [f for f in rest if f.kind == "image"]
        drawn = drawn or [f for f in rest if f.kind is None] or rest
    if both := sorted(
        {f.relative for f in drawn} & {f.relative for f in taken}
    ):
        raise ValueError(
            f"{root}: `images` and `masks` both name {shorten(both)}. Narrow "
            "one of them."
        )
    if not drawn or not taken:
        which = "images" if not drawn else "masks"
        raise ValueError(
            f"{root} holds no other files, for `{which}`. {LAYOUT}"
        )
    known = {*drawn, *taken}
    return drawn, taken, [f for f in files if f not in known]


def _tell_by_folders(root, files):
    kinds = collections.defaultdict(list)
    for file in files:
        kinds[file.kind].append(file)
    drawn, taken, plain = kinds["image"], kinds["mask"], kinds[None]
    if drawn and taken:
        return drawn, taken, plain
    if taken and plain:
        return plain, taken, []
    if drawn and plain and _match(drawn, plain):
        return drawn, plain, []
    if (root / "images").exists() or (root / "masks").exists():
        _explain_missing(root)
    # Folders that say nothing, or the same of all files.
    files = [file._replace(rest=file.folders) for file in files]
    return (*_tell_by_names(root, files), [])


def _explain_missing(root):
    """Raise if images/ or masks/ is missing or has no images."""
    for kind in ("images", "masks"):
        folder = root / kind
        list_folder(folder, LAYOUT)
        if not any(split_name(p)[1] in EXTENSIONS for p in folder.rglob("*")):
            raise ValueError(
                f"{folder} holds no image. It should hold some of "
                f"{', '.join(EXTENSIONS)}."
            )


def _tell_by_names(root, files):
    """Return the images and the masks of folders that hold both."""
    splits = [[file for file in files if is_mask_name(file.stem)]]
    stems = {file.stem for file in files}
    marks = affixes(stems, stems)
    for prefix, suffix in marks:
        rule = Rule(mask_prefix=prefix, mask_suffix=suffix)
        splits.append([f for f in files if rule.mask_core(f.stem) in stems])
    splits.append([f for f in files if f.path.suffix.lower() not in LOSSY])
    for taken in splits:
        named = set(taken)
        drawn = [file for file in files if file not in named]
        if drawn and taken and _match(drawn, taken):
            return drawn, taken
    raise ValueError(_why_not(root, files, marks))


def _why_not(root, files, marks):
    stems = {file.stem: file for file in files}
    for file in files:
        masks = [
            stems[name]
            for prefix, suffix in marks
            if (name := prefix + file.stem + suffix) in stems
        ]
        if len(masks) > 1:
            return _two_masks(file, masks)
    if marks:
        prefix, suffix = marks[0]
        alone = [
            f.relative
            for f in files
            if prefix + f.stem + suffix not in stems
            and Rule("", "", prefix, suffix).mask_core(f.stem) not in stems
        ]
        if alone:
            return (
                f"{root}: masks seem to be {prefix}NAME{suffix}, and "
                f"{shorten(alone)} have no partner. Add it, or move them out "
                "of the folder."
            )
    seen = shorten([file.relative for file in files])
    return (
        f"{root}: it can't be told which files are masks, {seen}. Name them, "
        f"such as `masks=*_mask.png`. {LAYOUT}"
    )


def _two_masks(image, masks):
    first, second = masks[:2]
    ending = first.stem.replace(image.stem, "") or first.path.suffix
    return (
        f"{image.path} has two masks, {first.path.name} and "
        f"{second.path.name}. Say which to use: `masks={ending}`."
    )


def _join_series(drawn, taken):
    """Return DICOM series as one file each, where masks are volumes."""
    slices = [f for f in drawn if f.path.suffix.lower() == ".dcm" and f.rest]
    volumes = all(f.path.name.lower().endswith(NIFTI) for f in taken)
    if len(slices) < len(drawn) or not volumes:
        return drawn
    series = {}
    for file in slices:
        series.setdefault(file.path.parent, file)
    return [
        file._replace(
            path=folder,
            relative=file.relative.rpartition("/")[0],
            stem=file.rest[-1],
            rest=file.rest[:-1],
        )
        for folder, file in series.items()
    ]


def _match(drawn, taken):
    """Return the match by the first rule that pairs all files, or None."""
    for found in _matches(drawn, taken):
        if found.whole:
            return found
    # Whatever the names are, a folder may hold one image and one mask.
    images, masks = (
        _by_key(files, lambda _: "", True) for files in (drawn, taken)
    )
    alone = _Match("one image and one mask a folder", images, masks)
    return alone if alone.whole and len(images) > 1 else None


def _best(drawn, taken):
    return max(_matches(drawn, taken), key=lambda found: len(found.pairs))


def _matches(drawn, taken):
    rules = candidate_rules({f.stem for f in drawn}, {f.stem for f in taken})
    for nested in (True, False):
        for rule in rules:
            images = _by_key(drawn, rule.image_core, nested)
            masks = _by_key(taken, rule.mask_core, nested)
            yield _Match(str(rule), images, masks)


def _by_key(files, core, nested):
    found = {}
    for file in files:
        shared = core(file.stem)
        rest = file.rest if nested else ()
        # A name that the rule does not fit is no other file's partner.
        key = (file.split, rest, shared if shared is not None else file.path)
        found.setdefault(key, []).append(file)
    return found


def _match_channels(drawn, taken):
    """Return the match of CASE_0000, CASE_0001 with CASE, or None."""
    groups = collections.defaultdict(dict)
    for file in drawn:
        groups[file.split, file.rest][file.path] = file
    cases = {NUMBER.sub("", file.stem) for file in drawn}
    numbered = any(NUMBER.search(file.stem) for file in drawn)
    if not numbered or cases != {file.stem for file in taken}:
        return None
    images = {}
    for (split, rest), files in groups.items():
        for case, paths in group_channels(files).items():
            images[split, rest, case] = [files[path] for path in paths]
    masks = _by_key(taken, str, True)
    if images.keys() != masks.keys() or any(
        len(own) > 1 for own in masks.values()
    ):
        return None
    return _Match("images NAME_0000, NAME_0001, …, mask NAME", images, masks)


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
            raise ValueError(_two_masks(own[0], other))
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
            raise ValueError(_two_masks(image, [*found.masks[key], file]))
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
