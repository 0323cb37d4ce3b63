import keras
from keras import ops

from dca_keras.layers.initializers import torch_uniform_bias


@keras.saving.register_keras_serializable(package="dca_keras")
class Affine(keras.layers.Layer):
    """One scale and one bias per channel.

    The same function as a depthwise 1x1 convolution, which is what the
    published code uses for every projection of its attentions.

    Args:
        use_bias: Whether a bias is added.

    Input shape:
        `(..., channels)`

    Output shape:
        `(..., channels)`

    Raises:
        ValueError: At build, if the number of channels is unknown.

    Reference:
        [Dual Cross-Attention, section 3.2](https://arxiv.org/abs/2303.17696)
    """

    def __init__(self, use_bias: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.use_bias = use_bias

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(
                "The channels of an `Affine` layer's input must be known. "
                f"Received: input_shape={input_shape}."
            )
        self.bias = None
        self.scale = self._add_vector("scale", channels)
        if self.use_bias:
            self.bias = self._add_vector("bias", channels)

    def call(self, inputs):
        outputs = inputs * ops.cast(self.scale, inputs.dtype)
        if self.bias is not None:
            outputs = outputs + ops.cast(self.bias, inputs.dtype)
        return outputs

    def compose(
        self, scale: keras.KerasTensor, bias: keras.KerasTensor
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Return the scale and bias of this affine after the given ones."""
        bias = bias * self.scale
        if self.bias is not None:
            bias = bias + self.bias
        return scale * self.scale, bias

    def _add_vector(self, name, channels):
        # Affines are composed before they meet a tensor, in full precision:
        # hence no autocast.
        return self.add_weight(
            name=name,
            shape=(channels,),
            initializer=torch_uniform_bias(fan_in=1),
            autocast=False,
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "use_bias": self.use_bias}
