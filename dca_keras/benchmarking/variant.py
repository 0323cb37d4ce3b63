"""What is measured, and the command that measures it."""

import dataclasses
import json
import sys

from dca_keras import zoo
from dca_keras.benchmarking.race import Command
from dca_keras.config import is_positive_int

BACKENDS = ("tensorflow", "jax", "torch")
DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True)
class Variant:
    """A model and what is done with it.

    Args:
        model: One of `dca_keras.zoo.list_models()`.
        dca: Whether it attends.
        training: Whether a step is one of training (Adam on the Dice loss)
            or a prediction.
        backend: Keras's, one of `BACKENDS`.
        dtype: A dtype policy, one of `DTYPES`.
        side: Of the square image, in pixels.
        batch: Images a step.
        blocks: Of the attention.

    Raises:
        ValueError: If there is no such model, backend or dtype policy, or a
            number is not a positive integer.
    """

    model: str = "unet"
    dca: bool = True
    training: bool = False
    backend: str = "tensorflow"
    dtype: str = "float32"
    side: int = 224
    batch: int = 1
    blocks: int = 1

    def __post_init__(self):
        for name, known in (
            ("model", zoo.list_models()),
            ("backend", BACKENDS),
            ("dtype", DTYPES),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(known)}. Received: "
                    f"{getattr(self, name)!r}."
                )
        for name in ("side", "batch", "blocks"):
            if not is_positive_int(getattr(self, name)):
                raise ValueError(
                    f"`{name}` must be a positive integer. Received: "
                    f"{getattr(self, name)!r}."
                )

    def command(self):
        """The worker that takes this variant's steps."""
        return Command(
            (
                sys.executable,
                "-m",
                "dca_keras.benchmarking.worker",
                json.dumps(dataclasses.asdict(self)),
            ),
            {"KERAS_BACKEND": self.backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
