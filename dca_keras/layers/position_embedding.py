import keras
from keras import ops


@keras.saving.register_keras_serializable(package="dca_keras")
class PositionEmbedding(keras.layers.Layer):
    """Add a learned vector for each place of a feature map.

    The vectors lie on a grid of a fixed size. A map of another size gets them
    linearly interpolated, as Vision Transformers do when they are trained on
    at another resolution; so the same weights serve any size.

    Args:
        grid: Height and width of the grid of vectors.

    Input shape:
        `(batch, height, width, channels)`, sides known or `None`.

    Output shape:
        The same.

    Reference:
        [Vision Transformer, sections 3.1 and 3.2](
        https://arxiv.org/abs/2010.11929)
    """

    def __init__(self, grid: tuple[int, ...] = (14, 14), **kwargs) -> None:
        super().__init__(**kwargs)
        self.grid = tuple(grid)

    def build(self, input_shape):
        self.vectors = self.add_weight(
            name="vectors",
            shape=(*self.grid, input_shape[-1]),
            initializer="zeros",
        )

    def call(self, inputs):
        _, height, width, _ = ops.shape(inputs)
        rows, columns = self.grid
        down = self._weights(rows, height)  # (height, rows)
        across = self._weights(columns, width)  # (width, columns)
        vectors = ops.cast(self.vectors, self.compute_dtype)
        vectors = ops.tensordot(down, vectors, 1)  # (height, columns, channels)
        vectors = ops.matmul(across, vectors)  # (height, width, channels)
        return inputs + vectors

    def _weights(self, old, new):
        """Return `(new, old)` weights, whose rows sum to one.

        They are the unit matrix where both are equal.
        """
        fine = ops.arange(new, dtype="float32")
        places = (fine + 0.5) * (old / ops.cast(new, "float32")) - 0.5
        places = ops.clip(places, 0, old - 1)
        coarse = ops.arange(old, dtype="float32")
        distance = ops.abs(ops.expand_dims(places, 1) - coarse)
        return ops.cast(ops.maximum(1 - distance, 0), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "grid": self.grid}
