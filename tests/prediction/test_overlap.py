"""Reading, work and writing that overlap."""

import threading

import pytest

from dca_keras.prediction._overlap import LARGE, run_overlapping


def outcomes(steps):
    return [(item, done.exception() or done.result()) for item, done in steps]


def test_the_order_is_kept():
    steps = run_overlapping(
        range(5), lambda n: n + 1, lambda n: 2 * n, lambda n: f"<{n}>"
    )
    expected = [(n, f"<{2 * n + 2}>") for n in range(5)]
    assert outcomes(steps) == expected


@pytest.mark.parametrize("step", range(3))
def test_an_error_is_of_its_item_only(step):
    error = ValueError("seven")

    def fail(value):
        if value == 7:
            raise error
        return value

    functions = [lambda value: value] * 3
    functions[step] = fail
    found = outcomes(run_overlapping([1, 7, 3], *functions))
    assert found == [(1, 1), (7, error), (3, 3)]


def test_the_next_is_read_and_the_last_written_at_the_same_time():
    meet = threading.Barrier(3, timeout=30)

    def read(number):
        if number == 2:
            meet.wait()
        return number

    def work(number):
        if number == 1:
            meet.wait()
        return number

    def write(number):
        if number == 0:
            meet.wait()
        return number

    found = outcomes(run_overlapping(range(3), read, work, write))
    assert found == [(n, n) for n in range(3)]


@pytest.mark.parametrize(("size", "most"), [(1, 3), (LARGE + 1, 1)])
def test_what_is_in_memory_is_bounded(size, most):
    lock, held, peak = threading.Lock(), set(), []

    def read(number):
        with lock:
            held.add(number)
            peak.append(len(held))
        return number

    def write(number):
        with lock:
            held.remove(number)

    steps = run_overlapping(
        range(20), read, lambda n: n, write, size=lambda n: size
    )
    assert len(outcomes(steps)) == 20
    assert max(peak) <= most


def test_a_stop_starts_nothing_more():
    written = []
    steps = run_overlapping(range(9), lambda n: n, lambda n: n, written.append)
    next(steps)
    next(steps)
    steps.close()
    assert written == [0, 1]
