import keras
import numpy as np
from keras import ops

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red, of 255
MODES = ("bytes", "tf", "torch", "caffe")


@keras.saving.register_keras_serializable(package="dca_keras")
class ImageScaling(keras.layers.Layer):
    """Turn pixels in [0, 1] into what a pretrained network was shown.

    Three of the modes are those of `keras.applications`' `preprocess_input`,
    which takes pixels in [0, 255].

    Args:
        mode: "bytes" for [0, 255]; "tf" for [-1, 1]; "torch" for ImageNet's
            mean and deviation; "caffe" for blue, green, red in [0, 255] less
            ImageNet's mean.

    Input shape:
        `(batch, height, width, channels)`; "torch" and "caffe" take three
        channels.

    Output shape:
        The same.

    Raises:
        ValueError: If there is no such mode; at build, if the mode doesn't
            take the channels.
    """

    def __init__(self, mode: str, **kwargs) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            raise ValueError(
                f"`mode` must be one of {', '.join(map(repr, MODES))}. "
                f"Received: {mode!r}."
            )
        self.mode = mode

    def build(self, input_shape):
        if self.mode in ("torch", "caffe") and input_shape[-1] != 3:
            raise ValueError(
                f"`mode` {self.mode!r} is for images of three channels. "
                f"Received: input_shape={input_shape}."
            )

    def call(self, inputs):
        if self.mode == "tf":
            return inputs * 2 - 1
        if self.mode == "torch":
            mean, deviation = self._constants(IMAGENET_MEAN, IMAGENET_DEVIATION)
            return (inputs - mean) / deviation
        if self.mode == "caffe":
            (mean,) = self._constants(CAFFE_MEAN)
            return ops.flip(inputs, -1) * 255 - mean
        return inputs * 255

    def _constants(self, *values):
        return [np.array(value, self.compute_dtype) for value in values]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}
