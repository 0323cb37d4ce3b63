"""Rules by which the name of a mask follows from that of its image."""

import collections
import re
from typing import NamedTuple

from dca_keras.data.pairs.listing import MASK_WORDS, words

TRIED = 4


class Rule(NamedTuple):
    """What stands before and after the part that two names share."""

    image_prefix: str = ""
    image_suffix: str = ""
    mask_prefix: str = ""
    mask_suffix: str = ""

    def image_core(self, stem):
        """Return the shared part of an image's name, or None."""
        return _strip(stem, self.image_prefix, self.image_suffix)

    def mask_core(self, stem):
        """Return the shared part of a mask's name, or None."""
        return _strip(stem, self.mask_prefix, self.mask_suffix)

    def __str__(self):
        image = f"{self.image_prefix}NAME{self.image_suffix}"
        mask = f"{self.mask_prefix}NAME{self.mask_suffix}"
        return f"image {image}, mask {mask}"


def candidate_rules(images, masks):
    """Return the rules that may hold, the simplest first.

    Args:
        images: Names of images without extension.
        masks: Names of masks without extension.
    """
    images, masks = set(images), set(masks)
    rules = [Rule(), _common(images, masks)]
    rules += [
        Rule(mask_prefix=prefix, mask_suffix=suffix)
        for prefix, suffix in affixes(images, masks)
    ]
    rules += [
        Rule(image_prefix=prefix, image_suffix=suffix)
        for prefix, suffix in affixes(masks, images)
    ]
    rules += _two_suffixes(images, masks)
    return list(dict.fromkeys(rules))


def affixes(short, long):
    """Return what most often makes one name of another.

    Args:
        short: A set of names.
        long: A set of names that may be those with something before or
            after them.

    Returns:
        A list of (prefix, suffix), one of them empty, the most frequent
        first.
    """
    votes = collections.Counter()
    for name in long:
        for cut in range(1, len(name)):
            # A number is not cut: 1 and 10 are two images.
            if name[cut - 1].isdigit() and name[cut].isdigit():
                continue
            if name[:cut] in short:
                votes["", name[cut:]] += 1
            if name[cut:] in short:
                votes[name[:cut], ""] += 1
    ranked = sorted(votes, key=lambda affix: (-votes[affix], affix))
    return [affix for affix in ranked if re.search("[^0-9]", "".join(affix))][
        :TRIED
    ]


def is_mask_name(stem):
    """Whether a file's name begins or ends with a word for masks."""
    found = [word for word in re.split(r"[^A-Za-z]+", stem) if word]
    return bool(found) and any(
        set(words(end)) & MASK_WORDS for end in (found[0], found[-1])
    )


def _common(images, masks):
    """Return what all images, and all masks, begin and end with."""
    (image_prefix, image_suffix), (mask_prefix, mask_suffix) = (
        _ends(names) for names in (images, masks)
    )
    # What both have there may as well be of the part that they share.
    same = len(_shared([image_prefix[::-1], mask_prefix[::-1]]))
    image_prefix, mask_prefix = (
        text[: len(text) - same] for text in (image_prefix, mask_prefix)
    )
    same = len(_shared([image_suffix, mask_suffix]))
    return Rule(
        image_prefix, image_suffix[same:], mask_prefix, mask_suffix[same:]
    )


def _ends(names):
    names = sorted(names)
    prefix = _shared(names)
    suffix = _shared([name[len(prefix) :][::-1] for name in names])[::-1]
    return prefix, suffix


def _shared(names):
    """Return what all names begin with."""
    first, last = min(names), max(names)
    length = 0
    while length < len(first) and first[length] == last[length : length + 1]:
        length += 1
    return first[:length]


def _two_suffixes(images, masks):
    """Return rules such as NAME_image and NAME_mask."""
    heads = {}
    for name in images:
        for head, tail in _cuts(name):
            heads.setdefault(head, []).append(tail)
    votes = collections.Counter(
        (own, tail)
        for name in masks
        for head, tail in _cuts(name)
        for own in heads.get(head, ())
    )
    ranked = sorted(votes, key=lambda pair: (-votes[pair], pair))[:TRIED]
    return [
        Rule(image_suffix=image, mask_suffix=mask) for image, mask in ranked
    ]


def _cuts(name):
    """Return a name cut before each of its last two separators."""
    places = [match.start() for match in re.finditer(r"[_\-. ]", name)]
    return [(name[:place], name[place:]) for place in places[-2:] if place]


def _strip(stem, prefix, suffix):
    end = len(stem) - len(suffix)
    if end < len(prefix) or not stem.startswith(prefix):
        return None
    return stem[len(prefix) : end] if stem.endswith(suffix) else None
