"""Which epoch is the best, and when training has waited long enough."""

import pytest

from dca_keras.training.callbacks import best_row, in_order, is_stale

NAN = float("nan")


def rows(name, *values):
    return [{"epoch": n + 1, name: value} for n, value in enumerate(values)]


@pytest.mark.parametrize(
    "name, values, best",
    [
        ("val_dice", (0.1, 0.5, 0.5, 0.3), 2),
        ("val_iou", (0.1, 0.5, 0.7), 3),
        ("val_loss", (0.4, 0.2, 0.3, 0.2), 2),
        ("val_loss", (NAN, 0.2, 0.3), 2),
        ("val_dice", (NAN, 0.2, NAN), 2),
        ("val_dice", (NAN, NAN), 1),
    ],
)
def test_the_best_epoch_is_the_first_of_the_best_score(name, values, best):
    assert best_row(rows(name, *values), name)["epoch"] == best


def test_patience_counts_from_the_best_epoch():
    found = rows("val_loss", 0.4, 0.2, 0.3, 0.25)
    assert is_stale(found, "val_loss", 2)
    assert not is_stale(found, "val_loss", 3)
    assert not is_stale(found, "val_loss", None)
    assert not is_stale([], "val_loss", 1)


def test_scores_stand_in_one_order():
    logs = dict.fromkeys(["dice", "val_iou", "iou", "val_loss", "loss"])
    assert in_order(logs) == ["loss", "dice", "iou", "val_loss", "val_iou"]
