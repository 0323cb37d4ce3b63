"""The picture of where Dual Cross-Attention looks."""

import typing
from pathlib import Path

import keras
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dca_keras._drawing import to_rgb
from dca_keras._files import replace_file
from dca_keras.plotting._attention import look_inside

if typing.TYPE_CHECKING:
    from matplotlib.figure import Figure

# Orange is more than an even look, purple less.
_LOOKS = "PuOr_r"
_CAM = "magma"
_SHARES = "BuPu"
_POINT = "#55e0ff"
_PANEL = 1.55  # inches of a map's longer side


def attention(
    model: keras.Model,
    image: np.ndarray,
    at: tuple[int, ...],
    *,
    module: str | None = None,
    block: int = -1,
    cam: np.ndarray | None = None,
    path: str | Path | None = None,
) -> "Figure":
    """Draw where a point's tokens look, and what the stages draw on.

    To the right the spatial attention (SCA): a row for every stage, a column
    for every head, each a map of how much the token at the point draws from
    every other. An even look is 1; all maps share one scale. Below the image
    the channel attention (CCA): how much of what each stage receives comes
    from the channels of which stage. In a volume, the slice with the point
    is shown.

    Args:
        model: A functional model with DCA, of the zoo or by `insert_dca`.
        image: `(height, width, channels)` or `(depth, height, width,
            channels)`, as the model takes it.
        at: The point, `(x, y)` in pixels from the upper left corner; in a
            volume `(x, y, z)`, where z is the slice.
        module: The layer's name where the model has several (DoubleU-Net);
            `None` is the last.
        block: Which of the module's blocks, counted from 0; -1 is the last.
        cam: A map of the image's sides in [0, 1], such as `grad_cam` returns,
            to be drawn beside the image.
        path: A PNG file to write.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the image or the point does not fit the model, or the
            model has no DCA, none of that name, or no such block.

    Example:

    >>> figure = attention(model, image, (120, 80), path="attention.png")
    """
    blocks = look_inside(model, image, module)
    try:
        found = blocks[block]
    except IndexError:
        raise ValueError(
            f"`block` must be from 0 to {len(blocks) - 1}. Received: {block}."
        ) from None
    scene = _Scene(found, image, at, cam)
    figure = _draw(scene, found)
    if path is not None:
        with replace_file(path) as temporary:
            figure.savefig(temporary, format="png")
    return figure


class _Scene:
    """The slice that is shown, with the point and its token in it."""

    def __init__(self, found, image, at, cam):
        sides = np.shape(image)[:-1]
        self.token = found.token_at(at, sides)
        self.slice = int(at[2]) if len(sides) == 3 else None
        self.depth = sides[0]
        image, self.cam = np.asarray(image), cam
        if self.slice is not None:
            image = image[self.slice]
            self.cam = None if cam is None else cam[self.slice]
        self.image = to_rgb(image)
        self.grey = self.image.mean(axis=-1)
        self.at = tuple(map(int, at[:2]))
        height, width = self.grey.shape
        self.extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        rows, columns = found.grid[-2:]
        self.square = (height / rows, width / columns)

    def show(self, axis, heat=None, norm=None, cmap=_LOOKS):
        """Show the image, or a map over a pale copy of it; mark the point."""
        if heat is None:
            axis.imshow(self.image, interpolation="nearest")
        else:
            axis.imshow(self.grey, cmap="gray", vmin=0, vmax=1)
            drawn = axis.imshow(
                heat,
                cmap=cmap,
                norm=norm,
                alpha=0.78,
                extent=self.extent,
                interpolation="nearest",
            )
        row, column = self.token[-2:]
        height, width = self.square
        axis.add_patch(
            Rectangle(
                (column * width - 0.5, row * height - 0.5),
                width,
                height,
                fill=False,
                color=_POINT,
                linewidth=1.1,
            )
        )
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        return None if heat is None else drawn

    @property
    def aspect(self):
        height, width = self.grey.shape
        return height / width


def _draw(scene, found):
    stages = len(found.shapes)
    heads = len(found.spatial[0]) if found.spatial else 0
    columns = heads + (heads > 1)
    panel = _PANEL * min(1, 1 / scene.aspect), _PANEL * min(1, scene.aspect)
    left = 2.6 if scene.cam is None else 4.6
    height = max(stages * panel[1] + 0.9, 2.3 * scene.aspect + 2.4)
    figure = Figure(figsize=(left + columns * panel[0] + 1.2, height), dpi=130)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03)
    if heads:
        one, two = figure.subfigures(
            1, 2, width_ratios=(left, columns * panel[0] + 1.2)
        )
        _draw_spatial(two, scene, found)
    else:
        one = figure
    _draw_left(one, scene, found)
    return figure


def _draw_left(figure, scene, found):
    panels = 1 if scene.cam is None else 2
    rows = 2 if found.channel else 1
    grid = figure.add_gridspec(rows, panels, height_ratios=(5, 6)[:rows])
    axis = figure.add_subplot(grid[0, 0])
    scene.show(axis)
    x, y = scene.at
    axis.plot(x, y, "+", color=_POINT, markersize=9, markeredgewidth=1.4)
    where = f"x {x}, y {y}"
    if scene.slice is not None:
        where += f", slice {scene.slice} of {scene.depth}"
    axis.set_title(f"image, {where}", fontsize=9)
    if scene.cam is not None:
        axis = figure.add_subplot(grid[0, 1])
        scene.show(axis, scene.cam, Normalize(0, 1), _CAM)
        axis.set_title("Grad-CAM of the class", fontsize=9)
    if found.channel:
        _draw_channel(figure.add_subplot(grid[1, :]), found)


def _draw_channel(axis, found):
    """Draw what each stage draws on, and what an even share would be."""
    shares = found.channel_shares()
    widths = np.array([shape[-1] for shape in found.shapes])
    table = np.vstack([shares, widths / widths.sum()])
    stages = [f"stage {i}" for i, _ in enumerate(widths, 1)]
    axis.imshow(table, cmap=_SHARES, vmin=0, vmax=1, aspect="auto")
    axis.axhline(len(widths) - 0.5, color="white", linewidth=5)
    for (row, column), share in np.ndenumerate(table):
        axis.text(
            column,
            row,
            f"{100 * share:.0f} %",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if share > 0.6 else "0.15",
        )
    axis.set_xticks(range(len(widths)), stages, fontsize=8)
    axis.set_yticks(range(len(table)), [*stages, "even"], fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title("channel attention:\neach stage draws on …", fontsize=9)


def _draw_spatial(figure, scene, found):
    maps = found.spatial_maps(scene.token)  # (stages, heads, *grid)
    if scene.slice is not None:
        maps = maps[:, :, scene.token[0]]
    stages, heads = maps.shape[:2]
    names = [f"head {i}" for i in range(1, heads + 1)]
    if heads > 1:
        maps = np.concatenate([maps, maps.mean(axis=1, keepdims=True)], axis=1)
        names.append("mean")
    # Doubled and halved are as far from even.
    maps = np.log2(np.maximum(maps, 1e-6))
    steps = int(np.clip(np.ceil(np.quantile(abs(maps), 0.998)), 1, 6))
    norm = Normalize(-steps, steps)
    axes = figure.subplots(stages, len(names), squeeze=False)
    for i, row in enumerate(axes):
        for j, axis in enumerate(row):
            drawn = scene.show(axis, maps[i, j], norm)
            if i == 0:
                axis.set_title(names[j], fontsize=9)
        sides = "×".join(map(str, found.shapes[i][:-1]))
        row[0].set_ylabel(
            f"stage {i + 1}\n{sides}, {found.shapes[i][-1]} ch.", fontsize=8
        )
    bar = figure.colorbar(
        drawn,
        ax=axes,
        fraction=0.04,
        pad=0.02,
        extend="both" if abs(maps).max() > steps else "neither",
    )
    ticks = range(-steps, steps + 1)
    bar.set_ticks(
        ticks, labels=[f"{2**i}" if i >= 0 else f"1/{2**-i}" for i in ticks]
    )
    bar.set_label("attention, times an even look", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.solids.set_alpha(1)
    figure.suptitle(
        "spatial attention: where the marked square looks", fontsize=10
    )
