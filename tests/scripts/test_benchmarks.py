"""The race, its line protocol and what is written down."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import benchmarks
from benchmarks import models

FAKE = """
import sys, time
print("a note")
print('{"parameters": 7, "flops": 2000000000}')
print("ready", flush=True)
for line in sys.stdin:
    time.sleep(0.001)
    print(%s, flush=True)
"""


def fake(seconds):
    return benchmarks.Command((sys.executable, "-c", FAKE % seconds))


def test_programs_run_by_turns():
    seen = []
    commands = {"slow": fake(0.5), "quick": fake(0.25)}
    found = benchmarks.run_race(commands, 2, seen.append)
    assert seen == ["slow", "quick"] * 3
    assert [r["seconds"] for r in found.values()] == [0.5, 0.25]
    assert found["slow"]["steps"] == [0.5, 0.5]
    assert found["slow"]["parameters"] == 7
    # Python's own few MiB, and nothing of what the tests have imported.
    assert 2**20 < found["slow"]["peak_memory"] < 2**26


COUNTING = """
import os, sys
print("ready", flush=True)
for number, line in enumerate(sys.stdin):
    with open(sys.argv[1], "a") as file:
        file.write(f"{sys.argv[2]}{number} ")
    print(0.1, flush=True)
"""


def test_each_takes_two_steps_a_turn(tmp_path):
    order = tmp_path / "order"
    benchmarks.run_race(
        {
            name: benchmarks.Command(
                (sys.executable, "-c", COUNTING, str(order), name)
            )
            for name in "ab"
        },
        rounds=2,
    )
    assert order.read_text().split() == "a0 a1 b0 b1 a2 a3 b2 b3".split()


SLEEPING = """
import sys, time, threading
count = 0
def spin():
    global count
    while True:
        count += 1
        time.sleep(0.001)
threading.Thread(target=spin, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    print(count, flush=True)
"""


def test_the_others_stand_still():
    """What spins in the background hardly moves while another one works."""
    working = FAKE.replace("time.sleep(0.001)", "time.sleep(0.5)") % 0.5
    found = benchmarks.run_race(
        {
            "idle": benchmarks.Command((sys.executable, "-c", SLEEPING)),
            "busy": benchmarks.Command((sys.executable, "-c", working)),
        },
        rounds=2,
    )
    first, second = found["idle"]["steps"]
    assert second - first < 500  # The other worked for a second of 1,000.


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("no-such-program",), "can't be started"),
        ((sys.executable, "-c", "1 / 0"), "division by zero"),
        ((sys.executable, "-c", FAKE % "'soon'"), "It printed: 'soon'"),
        ((sys.executable, "-c", "print('ready')"), "ended before"),
    ],
)
def test_programs_that_break_the_protocol(command, message):
    commands = {"good": fake(0.1), "bad": benchmarks.Command(command)}
    with pytest.raises(ValueError, match=message):
        benchmarks.run_race(commands, 1)


def test_no_process_is_left_behind():
    def interrupt(label, seen=[]):  # noqa: B006
        seen.append(label)
        if len(seen) == 3:
            raise KeyboardInterrupt

    def children():
        done = subprocess.run(
            ["ps", "-eo", "args"], capture_output=True, text=True, check=True
        )
        return [line for line in done.stdout.splitlines() if "0.125" in line]

    with pytest.raises(KeyboardInterrupt):
        benchmarks.run_race({"a": fake(0.125), "b": fake(0.125)}, 5, interrupt)
    assert not children()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "u-net"}, "`model` must be one of unet, vnet"),
        ({"backend": "mxnet"}, "`backend` must be one of tensorflow, jax"),
        ({"dtype": "int8"}, "`dtype` must be one of float32"),
        ({"inserted": "soon"}, "`inserted` must be one of no, paper"),
        ({"batch": 0}, "`batch` must be a positive integer"),
        ({"checkout": "/tmp"}, "`checkout` must be the folder of a copy"),
    ],
)
def test_bad_variants(options, message):
    with pytest.raises(ValueError, match=message):
        benchmarks.Variant(**options)


def test_another_checkout_is_measured_by_the_same_worker(tmp_path):
    (tmp_path / "dca_keras").mkdir()
    command = benchmarks.Variant(checkout=str(tmp_path)).command()
    places = command.environment["PYTHONPATH"].split(os.pathsep)
    assert places[0] == str(tmp_path)
    assert pathlib.Path(places[1], "benchmarks/worker.py").is_file()


def test_no_rounds():
    with pytest.raises(ValueError, match="`rounds` must be at least 1"):
        benchmarks.run_race({}, 0)


@pytest.fixture(scope="module")
def measured():
    """Real workers on the smallest image, a foreign program among them."""
    variants = [
        benchmarks.Variant(dca=dca, side=32, training=training)
        for dca, training in ((False, False), (True, False), (True, True))
    ]
    return models.race_variants(variants, 2, {"foreign": fake(0.125)})


@pytest.mark.slow
def test_models_are_measured_beside_a_foreign_program(measured):
    plain, attending, training, foreign = measured
    assert foreign["label"] == "foreign" and foreign["seconds"] == 0.125
    assert plain["ratio"] == plain["memory_ratio"] == 1
    assert (plain["parameters"], attending["parameters"]) == (8637345, 8745985)
    # Nine-tap convolutions in the main; two operations a multiply-add.
    assert 25.1 * 0.9 < plain["flops"] / 1e9 * (224 / 32) ** 2 < 25.1 * 1.1
    assert attending["flops"] > plain["flops"]
    assert "flops" not in training
    for row in (plain, attending, training):
        assert row["seconds"] > 0 and row["seconds_to_build"] > 0
        assert row["peak_memory"] > 2**28


@pytest.mark.slow
def test_reports_are_whole(measured, tmp_path):
    benchmarks.write_report(tmp_path, "models", measured, note="a note")
    saved = json.loads((tmp_path / "models.json").read_text())
    assert saved["rows"] == json.loads(json.dumps(measured))
    assert saved["note"] == "a note" and "versions" in saved["environment"]
    table = (tmp_path / "models.md").read_text().splitlines()
    assert len(table) == 2 + len(measured)
    assert table[-1].startswith("| foreign | 125.0 |")
    assert len({line.count("|") for line in table}) == 1
    assert (tmp_path / "models.png").read_bytes()[1:4] == b"PNG"


def test_a_volume_is_a_cube():
    from benchmarks import worker

    variant = benchmarks.Variant(side=16, volume=True)
    model = worker.build(variant)
    assert model.get_layer("dca").patch_sizes == (4, 2, 1)
    assert worker.make_step(model, variant)().shape == (1, 16, 16, 16, 1)


def test_growth_is_a_power_law(monkeypatch, tmp_path):
    from benchmarks import growth

    def race(variants, rounds, foreign, progress):
        return [
            {
                "label": f"{variant.side}",
                "dca": variant.dca,
                "training": variant.training,
                "seconds": 1e-4 * variant.side ** (3 if variant.dca else 2),
                "peak_memory": 1000 * variant.side,
                "ratio": 1.0,
                "memory_ratio": 1.0,
            }
            for variant in variants
        ]

    monkeypatch.setattr(growth, "race_variants", race)
    found, exponents = benchmarks.measure_growth(1, {"side": (32, 64, 128)})
    assert len(found) == 12
    times = [e for e in exponents if e["measure"] == "seconds"]
    assert [round(e["exponent"], 6) for e in times] == [2, 3, 2, 3]
    benchmarks.write_growth(tmp_path, found, exponents)
    assert (tmp_path / "growth.png").read_bytes()[1:4] == b"PNG"
    saved = json.loads((tmp_path / "growth.json").read_text())
    assert saved["exponents"] == exponents


@pytest.mark.slow
def test_startup_is_timed():
    times, found = benchmarks.measure_startup([], rounds=1)
    assert list(times) == [
        "import keras",
        "import keras, dca_keras, its zoo",
        "dca-keras --help",
    ]
    assert all(0 < seconds < 600 for seconds in times.values())
    assert found == []
