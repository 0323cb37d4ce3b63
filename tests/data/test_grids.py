import itertools

import nibabel
import numpy as np
import pytest

from dca_keras.data.channels import channels_header, read_channels
from dca_keras.data.volumes import read_nifti, read_volume, write_nifti

RNG = np.random.default_rng(0)
# From feet to head, front to back, right to left, as we see it.
SEEN = RNG.integers(-1000, 1000, (5, 4, 3)).astype("int16")
SPACING = (2.5, 0.7, 0.9)
ORIENTATIONS = list(
    itertools.product(
        itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)
    )
)


def save_turned(path, axes, signs, angle):
    """Store what is seen with axes that lie along others; return the affine.

    Axis k of the file runs along the patient's `axes[k]`, to the right, to
    the front or to the head, or the other way where its sign is -1.
    """
    standard = np.flip(SEEN.swapaxes(0, 2), (0, 1))
    backwards = [axis for axis in range(3) if signs[axis] < 0]
    stored = np.flip(standard.transpose(axes), backwards)
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[axes[axis], axis] = signs[axis] * SPACING[2 - axes[axis]]
    sine, cosine = np.sin(angle), np.cos(angle)
    affine[:2] = np.array([(cosine, -sine), (sine, cosine)]) @ affine[:2]
    affine[:3, 3] = (-30, 20, 10)
    nibabel.save(nibabel.Nifti1Image(stored, affine), path)
    return affine


@pytest.mark.parametrize("angle", [0.0, 0.3], ids=["straight", "oblique"])
@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_48_orientations_are_one_view(tmp_path, axes, signs, angle):
    path, copy = tmp_path / "a.nii", tmp_path / "b.nii"
    affine = save_turned(path, axes, signs, angle)
    volume = read_channels([path])
    assert volume.dtype == "float32" and volume.shape == (5, 4, 3, 1)
    np.testing.assert_array_equal(volume[..., 0], SEEN)
    np.testing.assert_array_equal(read_nifti(path), volume)
    shape, spacing = channels_header(path)
    assert shape == (5, 4, 3) and spacing == pytest.approx(SPACING)
    # A mask comes back to the file's own axes.
    write_nifti(copy, (volume[..., 0] > 0).astype("uint8"), path)
    mask, image = nibabel.load(copy), nibabel.load(path)
    np.testing.assert_allclose(mask.affine, affine, atol=1e-6)
    np.testing.assert_array_equal(
        np.asarray(mask.dataobj), np.asarray(image.dataobj) > 0
    )


def test_the_fourth_axis_is_channels(tmp_path):
    path, mask = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    stored = RNG.normal(size=(3, 4, 5, 2)).astype("float32")
    nibabel.save(nibabel.Nifti1Image(stored, np.diag([1, 2, 3, 1])), path)
    volume = read_channels([path])
    assert volume.shape == (5, 4, 3, 2)
    seen = np.flip(stored, (0, 1)).swapaxes(0, 2)
    np.testing.assert_array_equal(volume, seen)
    np.testing.assert_array_equal(read_nifti(path), seen)
    write_nifti(mask, (seen[..., 0] > 0).astype("uint8"), path)
    np.testing.assert_array_equal(
        np.asarray(nibabel.load(mask).dataobj), stored[..., 0] > 0
    )
    with pytest.raises(ValueError, match="a.nii.gz.*shape is .3, 4, 5, 2."):
        read_volume(path)


def test_channels_must_lie_on_one_grid(tmp_path):
    first, second = tmp_path / "a_0000.nii", tmp_path / "a_0001.nii"
    values = RNG.normal(size=(3, 4, 5)).astype("float32")
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 2, 3, 1])), first)

    def read_with(affine, shape=(3, 4, 5)):
        image = nibabel.Nifti1Image(np.ones(shape, "int16"), affine)
        nibabel.save(image, second)
        return read_channels([first, second])

    rounded = np.diag([1, 2, 3, 1.0])
    rounded[:3, 3] += 1e-3
    volume = read_with(rounded)
    assert volume.shape == (5, 4, 3, 2) and (volume[..., 1] == 1).all()
    moved = np.diag([1, 2, 3, 1.0])
    moved[0, 3] = 1
    with pytest.raises(ValueError, match="voxels at different places"):
        read_with(moved)
    with pytest.raises(ValueError, match=r"a_0000.*differ in \(depth"):
        read_with(np.diag([1, 2, 3, 1.0]), (3, 4, 6))


def test_an_affine_that_says_nothing_is_refused(tmp_path):
    path = tmp_path / "flat.nii"
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), "int16"), np.eye(4))
    content = bytearray(image.to_bytes())
    content[296:312] = bytes(16)  # srow_y
    path.write_bytes(content)
    with pytest.raises(ValueError, match="flat.nii.*an axis no direction"):
        read_channels([path])
