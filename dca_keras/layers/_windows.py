import numpy as np
from keras import ops


class Windows:
    """Square windows that cover a feature map of any size.

    Sides need not be multiples of the window: the map is padded to be split,
    and cropped when it is put together.

    Args:
        side: Side of a window in pixels.
        sides: Height and width of the map, integers or tensors.
        shifted: Whether the windows lie half a window off the map's corner.
            A map's side that fits into one window is not shifted.
    """

    def __init__(self, side, sides, shifted):
        self.side = side
        self.sides = sides
        self.before = [
            self._before(length) if shifted else 0 for length in sides
        ]
        self.after = [
            -(before + length) % side
            for before, length in zip(self.before, sides, strict=True)
        ]

    def _before(self, length):
        margin = self.side - self.side // 2
        if isinstance(length, int):
            return margin if length > self.side else 0
        return ops.where(length > self.side, margin, 0)

    def split(self, inputs):
        """Return `(batch, windows, tokens, channels)`."""
        x = inputs  # (batch, height, width, channels)
        for axis, margins in enumerate(
            zip(self.before, self.after, strict=True), 1
        ):
            x = _pad(x, axis, margins)
        _, height, width, channels = ops.shape(x)
        rows, columns = height // self.side, width // self.side
        x = ops.reshape(x, (-1, rows, self.side, columns, self.side, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, rows * columns, self.side**2, channels))

    def merge(self, tokens):
        """Return the map that `split` made these windows of."""
        rows, columns = (
            (before + length + after) // self.side
            for before, length, after in zip(
                self.before, self.sides, self.after, strict=True
            )
        )
        channels = tokens.shape[-1]
        x = ops.reshape(
            tokens, (-1, rows, columns, self.side, self.side, channels)
        )
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(
            x, (-1, rows * self.side, columns * self.side, channels)
        )
        (top, left), (height, width) = self.before, self.sides
        return x[:, top : top + height, left : left + width]

    def inside(self):
        """Return which tokens are pixels of the map, or None if all are.

        Boolean, `(1, windows, tokens, 1)`.
        """
        margins = [*self.before, *self.after]
        if all(isinstance(margin, int) and margin == 0 for margin in margins):
            return None
        ones = ops.ones((1, *self.sides, 1), dtype="float32")
        return self.split(ones) > 0


def relative_offsets(side):
    """Number the offset between any two of a window's tokens.

    Returns:
        An array `(tokens * tokens,)` of integers below `(2 * side - 1)**2`.
    """
    places = np.stack(np.indices((side, side)), -1).reshape(-1, 2)
    offsets = places[:, None] - places[None] + side - 1
    return (offsets @ (2 * side - 1, 1)).ravel()


def _pad(x, axis, margins):
    parts = []
    for margin in margins:
        shape = list(ops.shape(x))
        shape[axis] = margin
        parts.append(ops.zeros(shape, x.dtype))
    return ops.concatenate([parts[0], x, parts[1]], axis)
