"""What a page draws over an image: the mask, probabilities, attention."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize

from dca_keras.data import resize_image
from dca_keras.plotting import draw_overlay

SMALLEST, LARGEST = 512, 1024  # Pixels of a picture's longer side, about.
HEAT = "magma"
LOOKS = "PuOr_r"  # Orange is more than an even look, purple less.
REACHES = 0.01, 6.0  # How often attention doubles, at least and at most.
POINT = np.array([0x55, 0xE0, 0xFF], "uint8")


class Canvas:
    """A slice of an image at the size that the page shows it in.

    Args:
        finding: The `Finding`.
        index: Of the slice; the last one if there are fewer.
    """

    def __init__(self, finding, index):
        self._finding = finding
        self.index = min(index, len(finding.mask) - 1)
        sides = finding.mask.shape[1:]
        self.sides = _picture_sides(sides, finding.spacing)
        # Which pixel of the image each one of the picture is.
        self._pixels = [
            ((np.arange(large) + 0.5) * side / large).astype(int)
            for large, side in zip(self.sides, sides, strict=True)
        ]
        picture = finding.picture[self.index].astype("float32") / 255
        smaller = resize_image(picture, np.minimum(self.sides, sides))
        again = [
            np.arange(large) * len(smaller_side) // large
            for large, smaller_side in zip(
                self.sides, (smaller, smaller[0]), strict=True
            )
        ]
        self.image = smaller[np.ix_(*again)]

    def mask(self, opacity):
        """Draw the mask, tinted and outlined, over the image."""
        mask = self._enlarge(self._finding.mask[self.index])
        if not opacity:
            mask = np.zeros_like(mask)
        return draw_overlay(self.image, mask, opacity)

    def probability(self, class_index, opacity):
        """Draw the probability of a class over the image.

        Args:
            class_index: From 1, as in masks.
            opacity: Between 0 and 1.
        """
        channels = self._finding.probabilities.shape[-1]
        channel = class_index if channels > 1 else 0
        found = self._finding.probabilities[self.index, ..., channel]
        heat = colormaps[HEAT](self._enlarge(found))[..., :3]
        return self._blend(heat, opacity)

    def attention(self, look, reach, opacity, stage=None):
        """Draw where the attention looks, and the point it looks from.

        Args:
            look: The `Look`.
            reach: How often doubled or halved the colours end at.
            opacity: Between 0 and 1.
            stage: From 0; None is the mean over all stages.
        """
        maps = look.maps.mean(axis=0) if stage is None else look.maps[stage]
        heat, inside = self._place(maps, look.box)
        scaled = Normalize(-reach, reach)(np.log2(np.maximum(heat, 1e-6)))
        colours = colormaps[LOOKS](scaled)[..., :3]
        drawn = self._blend(colours, opacity * inside[..., None])
        if len(look.at) < 3 or look.at[2] == self.index:
            _draw_cross(drawn, *self.from_pixel(look.at[:2]))
        return drawn

    def to_pixel(self, at):
        """Return the image's pixel `(x, y)` at a place of the picture."""
        return tuple(
            int(pixels[min(max(int(i), 0), len(pixels) - 1)])
            for i, pixels in zip(at, self._pixels[::-1], strict=True)
        )

    def from_pixel(self, at):
        """Return where the middle of the image's pixel `(x, y)` is drawn."""
        sides = self._finding.mask.shape[1:]
        return tuple(
            int((i + 0.5) * large / side)
            for i, large, side in zip(
                at, self.sides[::-1], sides[::-1], strict=True
            )
        )

    def _enlarge(self, plane):
        return plane[np.ix_(*self._pixels)]

    def _blend(self, colours, opacity):
        # Colours mean values: the image below them is grey.
        opacity = np.asarray(opacity, "float32")
        grey = self.image.mean(axis=-1, keepdims=True)
        below = np.where(opacity > 0, grey, self.image)
        mixed = below * (1 - opacity) + colours * opacity
        return np.rint(255 * mixed).astype("uint8")

    def _place(self, maps, box):
        """Return a map at every pixel of the picture, and where it is."""
        places = [np.array([self.index]), *self._pixels][-len(box) :]
        tokens, inside = [], []
        for pixels, (start, end), count in zip(
            places, box, (1, 1, *maps.shape)[-len(box) :], strict=True
        ):
            token = np.floor((pixels + 0.5 - start) / (end - start) * count)
            inside.append((token >= 0) & (token < count))
            tokens.append(np.clip(token, 0, count - 1).astype(int))
        maps = maps.reshape((1,) * (len(box) - maps.ndim) + maps.shape)
        heat = maps[np.ix_(*tokens)].reshape(self.sides)
        inside = np.all(np.meshgrid(*inside, indexing="ij"), axis=0)
        return heat, inside.reshape(self.sides)


def find_reach(looks):
    """Return how far attention is from even, in times that it doubles.

    Args:
        looks: Some `Look`s, of which nearly all values are within it.
    """
    reach = max(
        np.quantile(abs(np.log2(np.maximum(look.maps, 1e-6))), 0.998)
        for look in looks
    )
    return float(np.clip(reach, *REACHES))


def gradient(name):
    """Return a colormap as a gradient of CSS, from left to right."""
    colours = (255 * colormaps[name](np.linspace(0, 1, 9))).astype(int)
    stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b, _ in colours)
    return f"linear-gradient(to right, {stops})"


def _picture_sides(sides, spacing):
    """Return height and width of a picture whose pixels are square."""
    steps = (1, 1) if spacing is None else spacing[-2:]
    lengths = np.multiply(sides, steps) / min(steps)
    longest = lengths.max()
    times = min(max(1, round(SMALLEST / longest)), LARGEST / longest)
    return tuple(max(1, round(length * times)) for length in lengths)


def _draw_cross(picture, x, y, arm=9):
    """Mark a point with a cross, light on dark."""
    for width, colour in ((1, 0), (0, POINT)):
        near = slice(max(x - width, 0), x + width + 1)
        along = slice(max(x - arm - width, 0), x + arm + width + 1)
        picture[max(y - width, 0) : y + width + 1, along] = colour
        picture[max(y - arm - width, 0) : y + arm + width + 1, near] = colour
