"""Match images with masks by what their names have in common."""

import collections
import re
from typing import NamedTuple

from dca_keras.data.channels import group_channels
from dca_keras.data.pairs.name_rules import candidate_rules

NIFTI = (".nii", ".nii.gz")
NUMBER = re.compile(r"_[0-9]{4}$")


class Match(NamedTuple):
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


def join_series(drawn, taken):
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


def match(drawn, taken):
    """Return the match by the first rule that pairs all files, or None."""
    for found in _matches(drawn, taken):
        if found.whole:
            return found
    # Whatever the names are, a folder may hold one image and one mask.
    images, masks = (
        _by_key(files, lambda _: "", True) for files in (drawn, taken)
    )
    alone = Match("one image and one mask a folder", images, masks)
    return alone if alone.whole and len(images) > 1 else None


def best_match(drawn, taken):
    """Return the match by the rule that pairs most files."""
    return max(_matches(drawn, taken), key=lambda found: len(found.pairs))


def _matches(drawn, taken):
    rules = candidate_rules({f.stem for f in drawn}, {f.stem for f in taken})
    for nested in (True, False):
        for rule in rules:
            images = _by_key(drawn, rule.image_core, nested)
            masks = _by_key(taken, rule.mask_core, nested)
            yield Match(str(rule), images, masks)


def _by_key(files, core, nested):
    found = {}
    for file in files:
        shared = core(file.stem)
        rest = file.rest if nested else ()
        # A name that the rule does not fit is no other file's partner.
        key = (file.split, rest, shared if shared is not None else file.path)
        found.setdefault(key, []).append(file)
    return found


def match_channels(drawn, taken):
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
    return Match("images NAME_0000, NAME_0001, …, mask NAME", images, masks)
