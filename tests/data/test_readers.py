"""What is particular to a data set."""

import numpy as np
import pytest

from dca_keras.data import (
    Preprocessing,
    cvc_clinicdb,
    measure,
    monuseg,
    read_dataset,
    resize_mask,
    synapse,
)
from tests.data import archives


def everyone(splits):
    return {s.name: s for s in splits.train + splits.val + splits.test}


def test_glas_numbers_become_foreground(tmp_path):
    archives.write_glas(tmp_path)
    splits = read_dataset("glas", tmp_path, channels=1)
    sample = everyone(splits)["train_6"]
    assert sample.case == "patient7"
    image, mask = sample.load()
    assert image.shape == (12, 18, 1)
    np.testing.assert_array_equal(mask[..., 0], archives.blob(12, 18) > 0)


def test_glas_needs_its_table(tmp_path):
    root = archives.write_glas(tmp_path)
    (root / "Grade.csv").write_text("name,patient ID\ntrain_1,1\n")
    with pytest.raises(ValueError, match="Grade.csv has no line for train_2"):
        read_dataset("glas", tmp_path)
    (root / "Grade.csv").unlink()
    with pytest.raises(ValueError, match="Grade.csv, which names the patients"):
        read_dataset("glas", tmp_path)
    sample = everyone(read_dataset("glas", tmp_path, partial=True))["train_6"]
    assert sample.case == "train_6"


def test_monuseg_fills_the_points_inside(tmp_path):
    triangle = ((10.2, 1.0), (14.9, 1.0), (10.2, 5.9))
    path = tmp_path / "a.xml"
    archives.write_outlines(path, archives.SQUARE, triangle, ())
    y, x = np.mgrid[:20, :20]
    # Edges are in at the left and top, and out at the right and bottom.
    square = (x >= 2) & (x < 6) & (y >= 3) & (y < 8)
    inside = (x > 10.2) & (y >= 1) & ((x - 10.2) / 4.7 + (y - 1) / 4.9 < 1)
    mask = monuseg.draw_outlines(path, (20, 20))
    assert mask.dtype == "int32"
    np.testing.assert_array_equal(mask[..., 0], square | inside)


@pytest.mark.parametrize("text", ["<Annotations>", "", "<a><Region>x"])
def test_monuseg_names_broken_outlines(tmp_path, text):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.xml can't be read as outlines"):
        monuseg.draw_outlines(path, (20, 20))


def test_monuseg_cases_are_patients(tmp_path):
    splits = read_dataset("monuseg", archives.write_monuseg_masks(tmp_path))
    sample = everyone(splits)["TCGA-CH-5767-01Z-00-DX1"]
    assert sample.case == "TCGA-CH-5767"


def test_real_monuseg(data_folder):
    official = read_dataset(
        "monuseg", data_folder / "monuseg_official_sample", partial=True
    )
    ready = everyone(read_dataset("monuseg", data_folder / "monuseg_512"))
    assert len(ready) == 44 and len(everyone(official)) == 4
    for name, sample in everyone(official).items():
        image, mask = sample.load()
        assert image.shape == (1000, 1000, 3)
        ours = resize_mask(mask, (512, 512))
        theirs = ready[name].load()[1]
        dice = 2 * np.sum(ours & theirs) / (ours.sum() + theirs.sum())
        assert dice > 0.998


def test_cvc_sequences(tmp_path):
    assert len(cvc_clinicdb.LAST_FRAMES) == 29
    samples = everyone(
        read_dataset("cvc_clinicdb", archives.write_cvc(tmp_path))
    )
    cases = {frame: samples[str(frame)].case for frame in (1, 25, 26, 612)}
    assert list(cases.values()) == [
        "sequence1",
        "sequence1",
        "sequence2",
        "sequence29",
    ]


def test_kvasir_masks_are_thresholded(tmp_path):
    archives.write_kvasir(tmp_path)
    splits = read_dataset("kvasir_seg", tmp_path)
    for sample in splits.test[:20]:
        _, mask = sample.load()
        expected = archives.blob(*mask.shape[:2])[..., None] > 0
        assert np.mean(mask != expected) < 0.03


def test_synapse_classes_window_and_spacing(tmp_path):
    archives.write_synapse(tmp_path)
    splits = read_dataset("synapse", tmp_path)
    samples = everyone(splits)
    assert {s.case for s in splits.test} == {
        f"case{n:04}" for n in synapse.TEST
    }
    found = []
    for index in range(14):
        image, mask = samples[f"case0005_slice{index:03}"].load()
        found.append(mask.max())
        # From nibabel's (right, front) to rows from the front, columns from
        # the patient's right.
        assert image[-1, -1] == 0 and image[-1, -2] == 1
        assert mask[:, -1].max() == 0 and mask[5, 8] == mask.max()
    assert found == [0, 7, 4, 3, 2, 0, 5, 8, 1, 0, 0, 6, 0, 0]
    assert samples["case0005_slice000"].spacing == pytest.approx((3, 0.7, 0.8))
    grey = everyone(read_dataset("synapse", tmp_path, channels=3))
    assert grey["case0005_slice000"].load()[0].shape == (12, 12, 3)


def test_synapse_as_volumes(tmp_path):
    archives.write_synapse(tmp_path)
    slices = everyone(read_dataset("synapse", tmp_path))
    splits = read_dataset("synapse", tmp_path, volumes=True)
    assert splits.modalities == ("CT",) and splits.channels == 1
    assert len(splits.train) + len(splits.val) == 18
    assert {s.case for s in splits.test} == {
        f"case{n:04}" for n in synapse.TEST
    }
    sample = everyone(splits)["case0005"]
    assert sample.spacing == pytest.approx((3, 0.7, 0.8))
    image, mask = sample.load()
    assert image.dtype == "float32" and mask.dtype == "int32"
    assert image.shape == mask.shape == (16, 12, 12, 1)
    assert image.min() < -1000 and image.max() > 1000  # Hounsfield units
    for index in (0, 8, 15):
        window, classes = slices[f"case0005_slice{index:03}"].load()
        np.testing.assert_array_equal(
            (np.clip(image[index], -125, 275) + 125) / 400, window
        )
        np.testing.assert_array_equal(mask[index], classes)


def test_synapse_volumes_become_samples_of_one_spacing(tmp_path):
    archives.write_synapse(tmp_path)
    splits = read_dataset("synapse", tmp_path, volumes=True)
    found = measure(splits)
    assert (found.rank, found.num_classes) == (3, 9)
    assert found.spacing == pytest.approx((3, 0.7, 0.8))
    (low, high), values = found.intensities[0], []
    for sample in splits.train:
        image, mask = sample.load()
        values.append(image[mask > 0])
    expected = np.percentile(np.concatenate(values), (0.5, 99.5))
    np.testing.assert_allclose((low, high), expected, rtol=1e-6)
    ready = Preprocessing.of(found, spacing=(1.5, 1.4, 1.6)).splits(splits)
    image, mask = ready.train[0].load()
    depth = len(splits.train[0].load()[0])
    assert image.shape == mask.shape == (2 * depth, 6, 6, 1)
    assert 0 <= image.min() < image.max() <= 1
    assert ready.train[0].source is splits.train[0]


def test_synapse_knows_its_labels(tmp_path):
    root = archives.write_synapse(tmp_path)
    path = root / "label" / "label0021.nii.gz"
    archives.save_nifti(path, archives.labels_of_slices(14) + np.uint8(9))
    samples = everyone(read_dataset("synapse", tmp_path))
    with pytest.raises(
        ValueError, match="label0021.*differ|label0021.* unknown"
    ):
        samples["case0021_slice009"].load()


def test_transunet_values_are_kept(tmp_path):
    root = archives.write_transunet(tmp_path)
    with pytest.raises(ValueError, match="`volumes` needs volumes"):
        read_dataset("synapse", root, volumes=True)
    samples = everyone(read_dataset("synapse", root))
    sample = samples["case0007_slice003"]
    assert sample.case == "case0007" and sample.spacing is None
    image, mask = sample.load()
    with np.load(sample.files[0]) as arrays:
        np.testing.assert_array_equal(image[..., 0], arrays["image"])
        np.testing.assert_array_equal(mask[..., 0], arrays["label"])
    np.savez(sample.files[0], image=image[..., 0], label=mask[..., 0] + 9)
    with pytest.raises(ValueError, match="slice003.npz holds the labels 12"):
        sample.load()
