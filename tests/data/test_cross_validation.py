import json
import random

import pytest

from dca_keras.data import Sample, folds, take_fold
from dca_keras.data.samples import hold_out_validation, split_by_case

SHARES = (0.7, 0.15, 0.15)


def samples(*names):
    return [Sample(name, name.partition("-")[0], dict) for name in names]


def numbered(count, word="case"):
    return samples(*(f"{word}{number}" for number in range(count)))


def places(parts):
    """The index of each case's part."""
    return {s.case: index for index, part in enumerate(parts) for s in part}


@pytest.mark.parametrize("count", [3, 4, 5, 8, 12])
@pytest.mark.parametrize("word", ["case", "patient ", "img_0", "ä"])
def test_no_split_of_a_small_set_is_empty(count, word):
    drawn = numbered(count, word)
    splits = split_by_case(drawn, SHARES)
    assert all(splits) and sum(map(len, splits)) == count
    assert all(hold_out_validation(drawn))
    for seed in range(3):
        shuffled = random.Random(seed).sample(drawn, count)
        assert places(split_by_case(shuffled, SHARES)) == places(splits)


def test_too_few_cases_leave_splits_empty():
    assert split_by_case([], SHARES) == ((), (), ())
    assert sum(map(bool, split_by_case(numbered(2), SHARES))) == 2


@pytest.mark.parametrize("word", ["case", "patient ", "img_0", "x"])
def test_an_added_case_moves_two_at_most(word):
    drawn = numbered(40, word)
    moves = 0
    for count in range(3, 40):
        before = places(split_by_case(drawn[:count], SHARES))
        after = places(split_by_case(drawn[: count + 1], SHARES))
        moved = sum(after[case] != part for case, part in before.items())
        assert moved <= 2
        moves += moved
    assert moves <= 8


def test_the_hash_decides_once_no_split_is_empty():
    drawn = numbered(60)
    whole = places(split_by_case(drawn, SHARES))
    for count in range(20, 60):
        few = places(split_by_case(drawn[:count], SHARES))
        assert few.items() <= whole.items()


@pytest.mark.parametrize("cases", [5, 12, 23])
def test_folds_are_balanced_and_keep_cases(cases):
    drawn = samples(*(f"p{case}-{n}" for case in range(cases) for n in "abc"))
    parts = folds(drawn, 5)
    assert len(parts) == 5
    numbers = [len({s.case for s in part}) for part in parts]
    assert sum(numbers) == cases and max(numbers) - min(numbers) <= 1
    assert sum(map(len, parts)) == len(drawn)
    shuffled = random.Random(1).sample(drawn, len(drawn))
    assert places(folds(shuffled, 5)) == places(parts)


def test_an_added_case_moves_one_across_each_border():
    drawn = numbered(30)
    for count in range(5, 30):
        before = places(folds(drawn[:count], 5))
        after = places(folds(drawn[: count + 1], 5))
        moved = [
            tuple(sorted((part, after[case])))
            for case, part in before.items()
            if after[case] != part
        ]
        assert all(high - low == 1 for low, high in moved)
        assert len(moved) == len(set(moved))


def test_every_case_is_tested_once():
    drawn = numbered(11)
    tested = []
    for index in range(4):
        train, val, test = take_fold(drawn, f"{index}/4")
        assert train and val and len(train + val + test) == 11
        assert len({s.name for s in train + val + test}) == 11
        tested += [s.name for s in test]
    assert sorted(tested) == sorted(s.name for s in drawn)


def write_folds(folder, *parts):
    named = [{"train": train, "val": val} for train, val in parts]
    (folder / "splits_final.json").write_text(json.dumps(named))


def test_the_file_of_nnunet_decides(tmp_path):
    names = [sample.name for sample in numbered(8)]
    write_folds(tmp_path, (names[:4], names[6:]), (names[4:], names[:2]))
    train, val, test = take_fold(numbered(9), "0/2", tmp_path)
    assert [sample.name for sample in test] == names[6:]
    assert sorted(s.name for s in train + val) == names[:4] and val
    assert [s.name for s in take_fold(numbered(9), "1/2", tmp_path)[2]] == (
        names[:2]
    )


def test_names_what_is_wrong_with_folds(tmp_path):
    for fold in ("5/5", "1", "a/b", "1/2/3", "-1/5", ""):
        with pytest.raises(ValueError, match="`fold` must be K/N"):
            take_fold(numbered(9), fold)
    with pytest.raises(ValueError, match="4 cases can't be .* 5 folds"):
        take_fold(numbered(4), "0/5")
    with pytest.raises(ValueError, match="2 folds or more"):
        take_fold(numbered(4), "0/1")
    path = tmp_path / "splits_final.json"
    for text in ("{", "[1]", '[{"train": []}]'):
        path.write_text(text)
        with pytest.raises(ValueError, match="splits_final.json can't be"):
            take_fold(numbered(9), "0/1", tmp_path)
    write_folds(tmp_path, (["case0"], ["case1"]))
    with pytest.raises(ValueError, match="has 1 folds, .* asks for 5"):
        take_fold(numbered(9), "0/5", tmp_path)
    with pytest.raises(ValueError, match="that are not there: case1. Its"):
        take_fold(numbered(1), "0/1", tmp_path)
    write_folds(tmp_path, (["case0"], ["case0"]))
    with pytest.raises(ValueError, match="trains and tests on case0"):
        take_fold(numbered(1), "0/1", tmp_path)
    write_folds(tmp_path, (["a-1"], ["a-2"]))
    with pytest.raises(ValueError, match="has images of a in both"):
        take_fold(samples("a-1", "a-2"), "0/1", tmp_path)
