"""The networks of `keras.applications` by name, and what they are shown."""

import re
from pathlib import Path

import keras

from dca_keras import blocks
from dca_keras._functional import functional, ordered_nodes
from dca_keras._model_files import load_model_file
from dca_keras.layers import ImageScaling

# What an application is shown that has no scaling of its own, by its name.
SCALINGS = {
    r"resnet\d+v2": "tf",
    r"resnet\d+": "caffe",
    r"vgg\d+": "caffe",
    r"densenet": "torch",
    r"mobilenet(v2)?_": "tf",
    r"xception|inception|nasnet": "tf",
}
SCALING_LAYERS = (keras.layers.Rescaling, keras.layers.Normalization)


def list_backbones():
    """Return the names of `keras.applications`' models, in lower case."""
    return sorted(_applications())


def build_backbone(name, input_shape, weights=None):
    """Build one of `keras.applications`' models without its top.

    Args:
        name: Such as "resnet50" or "efficientnetv2b0".
        input_shape: `(height, width, channels)`; sides may be `None`.
        weights: `None` for random values; "imagenet", which Keras downloads;
            or the path of a `.weights.h5` file of such a model, or of a
            `.keras` file that holds one.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If there is no such model, if it can't be built for the
            shape, or if the weights can't be read or are another model's.
    """
    applications = _applications()
    key = re.sub("[-_]", "", str(name).lower())
    if key not in applications:
        raise ValueError(
            f"`backbone` must be one of {', '.join(sorted(applications))}. "
            f"Received: {name!r}."
        )
    if input_shape[-1] == 1:
        input_shape = (*input_shape[:-1], 3)  # grey is repeated
    if weights is not None and input_shape[-1] != 3:
        raise ValueError(
            "`backbone_weights` are for images of one or three channels. "
            f"Received: input_shape={tuple(input_shape)}. Leave them out."
        )
    fetched = weights if weights == "imagenet" else None
    try:
        model = applications[key](
            include_top=False, weights=fetched, input_shape=input_shape
        )
    except Exception as error:
        raise ValueError(
            f"`backbone` {name!r} could not be built for images of shape "
            f"{tuple(input_shape)}: {error}"
        ) from error
    if weights not in (None, "imagenet"):
        _load_weights(model, Path(weights))
    return model


def scale_image(image, backbone, scaling="auto"):
    """Return an image in [0, 1] as the backbone expects it.

    Args:
        image: Keras tensor of as many channels as the backbone takes, or of
            one, which is repeated.
        backbone: A functional `keras.Model`.
        scaling: "auto" finds it: a backbone that begins with a layer that
            scales is shown [0, 255]; one that `keras.applications` named
            what its own `preprocess_input` makes; any other what the image
            is. Or one of `ImageScaling`'s modes, `None` for [0, 1], or a
            function from tensor to tensor, such as a layer.
    """
    model = functional(backbone)
    channels = model.inputs[0].shape[-1]
    if image.shape[-1] == 1 and channels and channels > 1:
        image = blocks.concatenate([image] * channels, "repeat")
    if scaling == "auto":
        scaling = find_scaling(backbone)
    if scaling is None:
        return image
    if callable(scaling):
        return scaling(image)
    return ImageScaling(scaling, name="scaling", dtype="float32")(image)


def find_scaling(backbone):
    """Return the mode of `ImageScaling` that a backbone expects, or None."""
    model = functional(backbone)
    image = model.inputs[0]
    first = [
        node.operation
        for node in ordered_nodes(model)
        if any(x is image for x in node.input_tensors)
    ]
    if any(isinstance(layer, SCALING_LAYERS) for layer in first):
        return "bytes"
    for pattern, mode in SCALINGS.items():
        if re.match(pattern, model.name.lower()):
            # Images of other channels have none of these colours.
            return mode if image.shape[-1] == 3 else "tf"
    return None


def _applications():
    return {
        name.lower(): getattr(keras.applications, name)
        for name in dir(keras.applications)
        if name[0].isupper()
    }


def _load_weights(model, path):
    if not path.is_file():
        raise ValueError(
            "`backbone_weights` must be None, 'imagenet' or the path of a "
            f"file. There is no file {str(path)!r}."
        )
    try:
        if path.suffix == ".keras":
            model.set_weights(load_model_file(path).get_weights())
        else:
            model.load_weights(path)
    except Exception as error:
        raise ValueError(
            f"`backbone_weights` must be weights of {model.name} without its "
            f"top. Could not read {str(path)!r}: {error}"
        ) from error
