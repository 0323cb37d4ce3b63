"""What 8 bits cost: Dice on a run's validation split, before and after."""

import numpy as np

from dca_keras.data import resize_image
from dca_keras.evaluation import run_dice, run_samples
from dca_keras.export._check import crop_or_pad
from dca_keras.export._quantization import pick
from dca_keras.export._runtimes import RuntimeModel

MAX_DICE_LOSS = 0.005


class DiceCheck:
    """Chooses the export that scores best, and refuses one that is worse.

    Args:
        run: A `Run`.
        model: Its model.
        data_dir: The data set's folder now; `None` if it has not moved.
        most: Largest loss of Dice that is accepted.

    Attributes:
        before: Dice of the model on the validation split.
        after: Dice of what was chosen, or `None` before.
        scale: How its scales were fitted, or `None` before.

    Raises:
        ValueError: If the validation split can't be read, or `most` is no
            number from 0 to 1.
    """

    def __init__(self, run, model, data_dir=None, most=MAX_DICE_LOSS):
        if not 0 <= most <= 1:
            raise ValueError(
                "`max_dice_loss` must be a number from 0 to 1. Received: "
                f"{most!r}"
            )
        self._run, self._model, self._most = run, model, most
        try:
            self.samples = run_samples(run, "val", data_dir)
        except (ValueError, OSError) as error:
            raise ValueError(
                "8 bits are calibrated with the images of the run's "
                f"validation split, which can't be read: {error} Give the "
                "data set's folder as `data_dir`."
            ) from error
        self.before = run_dice(run, model, self.samples)
        self.after = self.scale = None

    def calibration(self):
        """Return the images to calibrate with, as the model sees them."""
        sides = self._run.recipe.image_size
        cropped = self._run.recipe.sampling == "crop" or len(sides) == 3
        fit = crop_or_pad if cropped else resize_image
        images = [sample.load()[0] for sample in pick(self.samples)]
        return np.stack([fit(image, sides) for image in images])

    def __call__(self, functions):
        """Return the key of the exported function that scores best.

        Raises:
            ValueError: If it scores worse than is accepted.
        """
        shapes = self._model.input_shape, self._model.output_shape
        scores = {}
        for scale, function in functions.items():
            model = RuntimeModel(self._model.name, function, *shapes)
            scores[scale] = run_dice(self._run, model, self.samples)
        self.scale = max(scores, key=scores.get)
        self.after = scores[self.scale]
        if not self.before - self.after <= self._most:
            raise ValueError(
                f"With 8 bits, Dice on the validation split is "
                f"{self.after:.4f} and was {self.before:.4f}: a loss of more "
                f"than {self._most:g}, so the file was not kept. Export in "
                "floating point, or raise `max_dice_loss`."
            )
        return self.scale

    def entries(self):
        """Return what a model card says of it."""
        return {
            "bits": 8,
            "calibration": f"{len(pick(self.samples))} images of the "
            "validation split",
            "scale": self.scale,
            "validation_images": len(self.samples),
            "dice_before": self.before,
            "dice_after": self.after,
        }
