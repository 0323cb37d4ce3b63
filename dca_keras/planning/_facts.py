"""What the rules of `planning` look at, and what they try out."""

import dataclasses
import functools
import math

from dca_keras.data import Fingerprint
from dca_keras.planning._memory import memory
from dca_keras.recipe import make_recipe

# Bytes of memory that a step takes for a value between two layers. Measured
# on U-Net at 224×224, in batches of 4.
BYTES = 11
STRIDES = (1, 2, 4, 8, 16, 32, 64, 128)
# A side that every architecture takes, and where none is known.
AMPLE, USUAL = 96, 16


@dataclasses.dataclass
class Facts:
    """What a rule looks at.

    Attributes:
        model: Name of the architecture.
        data: The data set's `Fingerprint`.
        given: The fields of the recipe that the user gave.
        values: These, and the fields that are decided already.
    """

    model: str
    data: Fingerprint
    given: dict
    values: dict

    @property
    def is_volume(self):
        """Whether the data set holds volumes."""
        return self.data.rank == 3

    @property
    def median(self):
        """The sides of the median image."""
        return self.data.shapes[1]

    @property
    def ample(self):
        """Sides that every architecture takes."""
        return (AMPLE,) * self.data.rank

    @functools.cached_property
    def memory(self):
        """Half of the memory there is, in bytes, for a step of training."""
        return memory() / 2

    @property
    def stride(self):
        """What the sides of the model's images must be multiples of."""
        return self._probe[1]

    @functools.cached_property
    def bytes_per_pixel(self):
        """Bytes that a step takes for each pixel of a batch; 0 if unknown."""
        from keras import tree

        model, _ = self._probe
        if model is None:
            return 0
        outputs = tree.flatten([layer.output for layer in model.layers])
        values = sum(math.prod(output.shape[1:]) for output in outputs)
        return BYTES * values / math.prod(model.input_shape[1:-1])

    def build(self, sides, **changed):
        """Build the model for some sides; None if it can't be built so."""
        values = self.values | changed | {"image_size": sides}
        try:
            model = make_recipe(self.model, **values).build_model()
        except Exception:  # Whatever a user's builder raises.
            return None
        return model if model.output_shape[1:-1] == tuple(sides) else None

    @functools.cached_property
    def _probe(self):
        """The model at small sides, and what sides must be multiples of."""
        for stride in STRIDES:
            # No multiple of a greater stride, so the least is found.
            sides = (3 * stride,) * self.data.rank
            if model := self.build(sides):
                return model, stride
        # Building it for the training will say what is wrong.
        return None, USUAL
