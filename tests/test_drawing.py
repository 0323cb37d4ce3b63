import numpy as np
import pytest

from dca_keras._drawing import to_rgb

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(1, (0, 0, 0)), (2, (0, 1, 1)), (3, (0, 1, 2)), (16, (0, 1, 2))],
)
def test_shows_any_number_of_channels(count, shown):
    image = RNG.random((4, 5, count)).astype("float32")
    np.testing.assert_array_equal(to_rgb(image), image[..., list(shown)])


def test_shows_chosen_channels():
    image = 2 * RNG.random((4, 5, 7)) - 0.5
    expected = np.clip(image[..., [6, 0, 3]], 0, 1)
    np.testing.assert_array_equal(to_rgb(image, (6, 0, 3)), expected)
    for channels in ((0, 1), (0, 1, 7), (-1, 0, 1)):
        with pytest.raises(ValueError, match="three indices from 0 to 6"):
            to_rgb(image, channels)
