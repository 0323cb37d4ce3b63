"""What is measured, and the command that measures it."""

import dataclasses
import json
from pathlib import Path

from benchmarks.race import module_command
from dca_keras import zoo
from dca_keras.config import is_positive_int

BACKENDS = ("tensorflow", "jax", "torch")
STARTS = ("no", "paper", "identity")
DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")

NARROW = (8, 16, 32, 64)  # widths of a 3-D model
ONE_THREAD = dict.fromkeys(
    (
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "OMP_NUM_THREADS",
    ),
    "1",
)


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
        side: Of the square image, in pixels, or of the cube, in voxels.
        batch: Images a step.
        blocks: Of the attention.
        volume: Whether the model is three-dimensional. It has `NARROW`
            widths then, and patches of 4 where it attends.
        inserted: "paper" or "identity", the start, if `insert_dca` puts the
            attention into the plain model; "no" if the builder does.
        cpu: Whether seconds are those that the processor worked, on one
            thread: steady on a busy machine.
        checkout: The folder of another copy of this project, whose
            `dca_keras` is measured; "" is this one's.

    Raises:
        ValueError: If there is no such model, backend, dtype policy or start,
            or a number is not a positive integer, or `checkout` has no
            `dca_keras` in it.
    """

    model: str = "unet"
    dca: bool = True
    training: bool = False
    backend: str = "tensorflow"
    dtype: str = "float32"
    side: int = 224
    batch: int = 1
    blocks: int = 1
    volume: bool = False
    inserted: str = "no"
    cpu: bool = False
    checkout: str = ""

    def __post_init__(self):
        for name, known in (
            ("model", zoo.list_models()),
            ("backend", BACKENDS),
            ("dtype", DTYPES),
            ("inserted", STARTS),
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
        if self.checkout and not Path(self.checkout, "dca_keras").is_dir():
            raise ValueError(
                "`checkout` must be the folder of a copy of this project, "
                f"with `dca_keras` in it. Received: {self.checkout!r}."
            )

    @property
    def input_shape(self):
        """Of an image or a volume."""
        side = self.side
        return (side, side, side, 1) if self.volume else (side, side, 3)

    def command(self):
        """The worker that takes this variant's steps."""
        return module_command(
            "benchmarks.worker",
            json.dumps(dataclasses.asdict(self)),
            checkout=self.checkout or None,
            KERAS_BACKEND=self.backend,
            **(ONE_THREAD if self.cpu else {}),
        )
