"""Random changes of intensities, in 2-D and in 3-D."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class RandomIntensity:
    """Brightness, contrast, gamma and noise with a chance of each.

    The result stays in [0, 1]. Masks are not changed.

    Args:
        brightness: Chance of a factor that all intensities are multiplied by.
        max_brightness: Largest such factor; its inverse is the smallest.
        contrast: Chance of a factor on the distance from the mean.
        max_contrast: Largest such factor; its inverse is the smallest.
        gamma: Chance of a power that intensities are raised to.
        max_gamma: Largest such power; its inverse is the smallest.
        noise: Chance of normally distributed noise.
        max_noise: Largest standard deviation of the noise.
    """

    brightness: float = 0.15
    max_brightness: float = 1.25
    contrast: float = 0.15
    max_contrast: float = 1.25
    gamma: float = 0.3
    max_gamma: float = 1.5
    noise: float = 0.1
    max_noise: float = 0.05

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a changed copy of an image, or the image itself.

        Args:
            image: Float32 array (…sides, channels) in [0, 1].
            rng: A `numpy.random.Generator`.
        """
        chances, amounts = rng.random(4), rng.uniform(-1, 1, 4)
        changed = image
        if chances[0] < self.brightness:
            changed = changed * np.float32(self.max_brightness ** amounts[0])
        if chances[1] < self.contrast:
            mean = changed.mean(dtype="float64").astype("float32")
            factor = np.float32(self.max_contrast ** amounts[1])
            changed = mean + (changed - mean) * factor
        if chances[2] < self.gamma:
            power = np.float32(self.max_gamma ** amounts[2])
            changed = np.clip(changed, 0, 1) ** power
        if chances[3] < self.noise:
            noise = rng.standard_normal(image.shape, "float32")
            deviation = self.max_noise * np.abs(amounts[3])
            changed = changed + np.float32(deviation) * noise
        return changed if changed is image else np.clip(changed, 0, 1)
