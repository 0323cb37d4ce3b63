import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dca_keras.data import Sample, check_samples
from dca_keras.data.samples import split_by_case


def sample(name, case=None, error=None):
    def load():
        if error is not None:
            raise error
        return np.zeros((4, 4, 3), "float32"), np.zeros((4, 4, 1), "int32")

    return Sample(name, case or name, load)


SAMPLES = [sample(f"{n}", case=f"patient{n // 3}") for n in range(600)]


def names(splits):
    return [{sample.name for sample in split} for split in splits]


def test_splits_by_case():
    splits = split_by_case(SAMPLES, (0.7, 0.15, 0.15))
    assert sum(map(len, splits)) == len(SAMPLES)
    cases = [{sample.case for sample in split} for split in splits]
    assert not (cases[0] & cases[1] | cases[1] & cases[2] | cases[0] & cases[2])
    shares = np.array([len(split) for split in splits]) / len(SAMPLES)
    np.testing.assert_allclose(shares, (0.7, 0.15, 0.15), atol=0.06)


def test_a_case_keeps_its_part():
    shares = (0.7, 0.15, 0.15)
    whole = names(split_by_case(SAMPLES, shares))
    fewer = names(split_by_case(SAMPLES[::-2], shares))
    for few, all_ in zip(fewer, whole, strict=True):
        assert few <= all_


def test_pins_the_hash():
    cases = ["a", "b", "c", "d", "e", "f"]
    splits = split_by_case(map(sample, cases), (0.5, 0.5))
    assert names(splits) == [{"b", "c", "d", "e", "f"}, {"a"}]


def test_check_passes_over_good_samples():
    checked = []
    check_samples(SAMPLES[:50], on_checked=lambda: checked.append(1))
    assert len(checked) == 50


def test_check_lists_every_broken_sample():
    broken = [
        sample(f"{n}", error=ValueError(f"{n}.png is torn.")) for n in range(25)
    ]
    checked = []
    with pytest.raises(ValueError) as caught:
        check_samples(
            broken[:2] + SAMPLES[:50],
            on_checked=lambda: checked.append(1),
        )
    assert str(caught.value) == (
        "2 of 52 samples can't be used:\n- 0.png is torn.\n- 1.png is torn."
    )
    assert len(checked) == 52
    with pytest.raises(ValueError, match="- 19.png is torn.\n- and 5 more$"):
        check_samples(broken)


def test_check_can_skip_the_broken():
    broken = sample("a", error=ValueError("a.png is torn."))
    good, errors = check_samples([*SAMPLES[:3], broken], skip_broken=True)
    assert good == tuple(SAMPLES[:3]) and errors == ["a.png is torn."]
    assert check_samples(SAMPLES[:3]) == (good, [])
    with pytest.raises(ValueError, match="1 of 1 samples can't be used"):
        check_samples([broken], skip_broken=True)


def test_check_finds_empty_masks():
    assert len(check_samples(SAMPLES[:3])[0]) == 3
    with pytest.raises(ValueError, match="2 of 2 .*\n- 0 has an empty mask"):
        check_samples(SAMPLES[:2], allow_empty=False)
    files = (Path("images/0.png"), Path("masks/0.png"))
    named = dataclasses.replace(SAMPLES[0], files=files)
    with pytest.raises(ValueError, match=r"- masks/0.png has an empty mask"):
        check_samples([named], allow_empty=False)


def test_check_does_not_hide_a_bug():
    with pytest.raises(TypeError):
        check_samples([sample("a", error=TypeError("a bug"))])
