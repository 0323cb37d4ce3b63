"""Tell which files of a folder are images, and which are masks."""

import collections

from dca_keras.data.archive import list_folder, shorten
from dca_keras.data.formats import EXTENSIONS, split_name
from dca_keras.data.pairs.listing import LAYOUT, choose
from dca_keras.data.pairs.matching import match
from dca_keras.data.pairs.name_rules import Rule, affixes, is_mask_name

LOSSY = (".jpg", ".jpeg", ".webp")


def tell_apart(root, files, images, masks):
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
    if drawn and plain and match(drawn, plain):
        return drawn, plain, []
    if (root / "images").exists() or (root / "masks").exists():
        explain_missing(root)
    # Folders that say nothing, or the same of all files.
    files = [file._replace(rest=file.folders) for file in files]
    return (*_tell_by_names(root, files), [])


def explain_missing(root):
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
        if drawn and taken and match(drawn, taken):
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
            return two_masks(file, masks)
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
        f"such as `masks='*_mask.png'`. {LAYOUT}"
    )


def two_masks(image, masks):
    """Say that an image has two masks, and how to choose one."""
    first, second = masks[:2]
    ending = first.path.name.replace(image.stem, "*")
    return (
        f"{image.path} has two masks, {first.path.name} and "
        f"{second.path.name}. Say which to use: `masks='{ending}'`."
    )
