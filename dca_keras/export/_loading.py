"""SavedModels, loaded for prediction and comparison."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from dca_keras.export._card import CARD
from dca_keras.export._versions import versions


def load_saved_model(path: str | Path) -> "ServedModel":
    """Load a SavedModel that `saved_model` wrote.

    Args:
        path: The model's folder, for its newest version, or the folder of a
            version.

    Returns:
        A `ServedModel`.

    Raises:
        ValueError: If there is no such SavedModel in `path`.
    """
    path = Path(path)
    if numbers := versions(path):
        path = path / str(max(numbers))
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
        loaded = tf.saved_model.load(path)
        return ServedModel(loaded, card)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a SavedModel as `dca-keras export` writes it: "
            f"{error}"
        ) from error


class ServedModel:
    """A SavedModel with the methods of a Keras model that prediction needs.

    Attributes:
        card: The model's `model_card.json`, as a dictionary.
        name: The model's name.
        signatures: The signatures by name, functions of tensors.
        input_shape: `(None, *sides, channels)`; open sides are `None`.
        output_shape: `(None, *sides, classes)`.
    """

    def __init__(self, loaded: object, card: dict) -> None:
        self._loaded = loaded  # It owns the variables.
        self.card = card
        self.name = card["name"]
        self.signatures = dict(loaded.signatures)
        default = self.signatures["serving_default"]
        _, inputs = default.structured_input_signature
        self.input_shape = tuple(inputs["images"].shape)
        outputs = default.structured_outputs["probabilities"]
        self.output_shape = tuple(outputs.shape)

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities, `(batch, *sides, classes)`, float32.

        Args:
            images: `(batch, *sides, channels)`, floats in [0, 1].

        Raises:
            ValueError: If `images` are not such images.
        """
        images = tf.constant(np.asarray(images, "float32"))
        try:
            answer = self.signatures["serving_default"](images=images)
        except (TypeError, tf.errors.InvalidArgumentError) as error:
            raise ValueError(
                f"`images` {tuple(images.shape)} are refused by the "
                f"SavedModel: {error}"
            ) from error
        return answer["probabilities"].numpy()
