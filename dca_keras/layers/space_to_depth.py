import keras
from keras import ops


@keras.saving.register_keras_serializable(package="dca_keras")
class SpaceToDepth(keras.layers.Layer):
    """Put the pixels of each square of `size` x `size` into one's channels.

    Args:
        size: Side of a square; divides the sides.

    Input shape:
        `(batch, height, width, channels)`, sides known or `None`.

    Output shape:
        `(batch, height / size, width / size, size * size * channels)`, the
        pixels of a square row by row.
    """

    def __init__(self, size: int | tuple[int, ...] = 2, **kwargs) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs):
        size = self.size
        _, height, width, channels = ops.shape(inputs)
        height, width = height // size, width // size
        x = ops.reshape(inputs, (-1, height, size, width, size, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height, width, size * size * channels))

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        sides = (side and side // self.size for side in sides)
        return (batch, *sides, self.size**2 * channels)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable(package="dca_keras")
class DepthToSpace(keras.layers.Layer):
    """Undo `SpaceToDepth`: spread channels over `size` x `size` pixels.

    Args:
        size: Side of a square; its square divides the channels.

    Input shape:
        `(batch, height, width, size * size * channels)`, sides known or
        `None`.

    Output shape:
        `(batch, size * height, size * width, channels)`
    """

    def __init__(self, size: int | tuple[int, ...] = 2, **kwargs) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs):
        size = self.size
        _, height, width, channels = ops.shape(inputs)
        channels //= size**2
        x = ops.reshape(inputs, (-1, height, width, size, size, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height * size, width * size, channels))

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        sides = (side and side * self.size for side in sides)
        return (batch, *sides, channels // self.size**2)

    def get_config(self):
        return {**super().get_config(), "size": self.size}
