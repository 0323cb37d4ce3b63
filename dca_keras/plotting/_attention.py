"""Where Dual Cross-Attention looks in an image."""

import contextlib
import functools
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from dca_keras.layers import DualCrossAttention
from dca_keras.plotting._running import batch_of, graph_layers, replaced_call


class Attention(NamedTuple):
    """The scores of one block of a `DualCrossAttention` for one image.

    Args:
        module: The layer's name.
        shapes: `(*sides, channels)` of every skip.
        grid: Sides of the token grid.
        spatial: One array a skip, `(heads, tokens, tokens)`: how much the
            first token draws from the second; `None` without SCA.
        channel: One array a skip, `(heads, channels_i / heads, channels /
            heads)`, of all skips' channels side by side; `None` without CCA.
    """

    module: str
    shapes: tuple
    grid: tuple
    spatial: list | None
    channel: list | None

    def token_at(
        self, at: tuple[int, ...], sides: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the grid's indices of the token that holds a pixel.

        Args:
            at: The pixel, `(x, y)`, or `(x, y, z)` in a volume.
            sides: The image's sides.
        """
        pixel = _check_point(at, sides)
        return tuple(
            i * tokens // side
            for i, tokens, side in zip(pixel, self.grid, sides, strict=True)
        )

    def spatial_maps(self, token: tuple[int, ...]) -> np.ndarray:
        """Return where a token looks, `(skips, heads, *grid)`.

        An even look is 1 everywhere: scores times the number of tokens.
        """
        index = np.ravel_multi_index(token, self.grid)
        maps = np.stack([scores[:, index] for scores in self.spatial])
        count = maps.shape[-1]
        return (maps * count).reshape(*maps.shape[:2], *self.grid)

    def channel_shares(self) -> np.ndarray:
        """Return how much each skip draws on which, `(skips, skips)`.

        Rows add up to 1. The mean over the skip's channels and the heads.
        """
        widths = [shape[-1] for shape in self.shapes]
        ends = np.cumsum(widths)[:-1]
        shares = []
        for scores in self.channel:
            mean = scores.mean(axis=1).reshape(-1) / len(scores)
            shares.append([part.sum() for part in np.split(mean, ends)])
        return np.array(shares)


def look_inside(
    model: keras.Model, image: np.ndarray, module: str | None = None
) -> list[Attention]:
    """Compute the scores of a `DualCrossAttention` for an image.

    The equations run as the paper writes them, once.

    Args:
        model: A functional model with DCA, of the zoo or by `insert_dca`.
        image: `(height, width, channels)` or `(depth, height, width,
            channels)`, as the model takes it.
        module: The layer's name where the model has several (DoubleU-Net);
            `None` is the last.

    Returns:
        A list with one `Attention` a block.

    Raises:
        ValueError: If the image does not fit the model, or the model has no
            DCA, none of that name, or one without attentions.
    """
    batch = batch_of(model, image)
    layers = [
        x for x in graph_layers(model) if isinstance(x, DualCrossAttention)
    ]
    layers = list(dict.fromkeys(layers))
    if module is not None:
        layers = [x for x in layers if x.name == module]
    if not layers:
        raise ValueError(
            f"`model` must have a DualCrossAttention{_named(module)}. "
            f"{model.name!r} has none: build it with `dca=True`, or use "
            "`dca_keras.insert_dca`."
        )
    calls = []

    def watch(layer):
        def make(call):
            def watched(skips, training=None):
                outputs, scores = call(skips, return_attention_scores=True)
                calls.append((layer, skips, scores))
                return outputs

            return functools.wraps(call)(watched)

        return make

    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced_call(layer, watch(layer)))
        model(batch, training=False)
    return _blocks(*calls[-1])


def _blocks(layer, skips, scores):
    if not scores[0]:
        raise ValueError(
            f"Layer {layer.name!r} has neither channel nor spatial attention."
        )
    shapes = tuple(tuple(skip.shape[1:]) for skip in skips)
    sizes = keras.tree.flatten(layer.patch_sizes[-1])
    sizes = sizes * (1 if len(sizes) > 1 else len(shapes[-1]) - 1)
    grid = tuple(a // b for a, b in zip(shapes[-1][:-1], sizes, strict=True))

    def numpy(arrays):
        return arrays and [
            ops.convert_to_numpy(ops.cast(x, "float32"))[0] for x in arrays
        ]

    return [
        Attention(
            layer.name,
            shapes,
            grid,
            numpy(block.get("spatial")),
            numpy(block.get("channel")),
        )
        for block in scores
    ]


def _named(module):
    return f" named {module!r}" if module else ""


def _check_point(at, sides):
    """Return the point's array indices, of `(x, y)` or `(x, y, z)`."""
    pixel = tuple(at)[::-1]
    if len(pixel) != len(sides) or not all(
        0 <= i < side and i == int(i)
        for i, side in zip(pixel, sides, strict=False)
    ):
        names = "xyz"[: len(sides)]
        limits = ", ".join(
            f"{name} from 0 to {side - 1}"
            for name, side in zip(names, tuple(sides)[::-1], strict=True)
        )
        raise ValueError(
            f"`at` must be a pixel of the image, {limits}. Received: {at!r}."
        )
    return tuple(map(int, pixel))
