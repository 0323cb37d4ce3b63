"""Several devices compute what one does: logical CPUs and real processes."""

import csv
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from dca_keras.training import strategies
from tests.tiny_run import write_images
from tests.training.replica_worker import CASES

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 900  # seconds; only reached where something hangs


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def start(*words, cluster=None, index=0, **variables):
    """A process of Python; one of several workers if there is a cluster."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    if cluster:
        addresses = [f"127.0.0.1:{port}" for port in cluster]
        environment["TF_CONFIG"] = json.dumps(
            {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
        )
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, code=0):
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == code, errors
    return errors


def begin_worker(folder, name, *cases, label=None, **words):
    path = folder / f"{label or name}.npz"
    module = ["-m", "tests.training.replica_worker"]
    return path, start(*module, name, path, *cases, **words)


def read_arrays(path, process):
    finish(process)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("many", "few"),
    [
        (
            sorted(CASES.keys() - {"volumes"}),
            ["pooled", "per_image", "compound", "tversky", "adamw"],
        ),
        (["volumes"], ["volumes"]),
    ],
    ids=["losses", "volumes"],
)
def test_replicas_and_workers_equal_one_device(tmp_path, many, few):
    ports = free_ports(2)
    runs = [
        begin_worker(tmp_path, "single", *many),
        begin_worker(tmp_path, "mirrored", *many),
    ]
    one, two = (read_arrays(*run) for run in runs)
    runs = [
        begin_worker(
            tmp_path,
            "multi_worker",
            *few,
            label=f"worker{index}",
            cluster=ports,
            index=index,
        )
        for index in range(2)
    ]
    workers = [read_arrays(*run) for run in runs]
    assert two.keys() == one.keys()
    assert {name.split()[0] for name in workers[0]} == set(few)
    for found in (two, *workers):
        for name, array in found.items():
            np.testing.assert_allclose(
                array, one[name], rtol=0, atol=1e-8, err_msg=name
            )


@pytest.mark.slow
def test_jax_trains_a_pooled_loss_as_one_device_does(tmp_path):
    # Not all that Keras does on JAX is in double precision.
    jax = {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1"}
    jax["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    runs = [
        begin_worker(tmp_path, name, "unsmoothed", **jax)
        for name in ("single", "mirrored")
    ]
    one, two = (read_arrays(*run) for run in runs)
    *weights, logs = one.keys()
    for name in weights:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-7)
    # Means over a training epoch give a repeated batch more weight.
    validation = slice(one[logs].shape[1] // 2, None)
    np.testing.assert_allclose(
        two[logs][:, validation], one[logs][:, validation], rtol=0, atol=1e-7
    )


def read_rows(path):
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [
            {name: float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


@pytest.mark.slow
def test_jax_spreads_batches_over_devices(tmp_path):
    sizes = ((40, 48), (32, 32), (52, 36), (36, 36), (40, 40))
    data_dir = write_images(tmp_path / "images", sizes)
    command = ["-m", "dca_keras.cli", "train", "--data", "image_folder"]
    command += ["--data-dir", data_dir, "--image-size", 32, "--no-dca"]
    command += ["--filters", "4,4,4", "--batch-size", 4, "--epochs", 2]
    command += ["--learning-rate", 1e-4, "--per-image-loss"]
    jax = {"KERAS_BACKEND": "jax"}
    jax["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    spread = ["--strategy", "mirrored", "--devices", "cpu:0,cpu:1"]
    runs = [
        start(*command, "--output", tmp_path / "one", **jax),
        start(*command, *spread, "--output", tmp_path / "two", **jax),
    ]
    for process in runs:
        finish(process)
    one, two = (
        read_rows(tmp_path / name / "history.csv") for name in ("one", "two")
    )
    for row, other in zip(one, two, strict=True):
        for name in ("val_loss", "val_dice", "val_iou"):
            assert other[name] == pytest.approx(row[name], abs=1e-5)


@pytest.mark.slow
def test_a_lost_worker_ends_the_others_and_a_restart_resumes(tmp_path):
    sizes = ((40, 48), (32, 32), (52, 36), (36, 36), (40, 40))
    data_dir = write_images(tmp_path / "images", sizes)
    command = ["-m", "dca_keras.cli", "train", "--data", "image_folder"]
    command += ["--data-dir", data_dir, "--image-size", 32, "--no-dca"]
    command += ["--filters", "4,4,8", "--batch-size", 2, "--sync-batch-norm"]
    # A rate that falls to the end would not let the epochs change.
    command += ["--learning-rate", 1e-4, "--schedule", "constant"]
    command += ["--warmup-epochs", 0, "--sampling", "resize"]

    def begin_workers(epochs):
        ports = free_ports(2)
        output = ["--output", tmp_path / "workers", "--epochs", epochs]
        output += ["--strategy", "multi_worker", "--resume"]
        return [
            start(*command, *output, cluster=ports, index=index)
            for index in range(2)
        ]

    history = tmp_path / "workers" / "history.csv"
    chief, other = begin_workers(10_000)
    while len(read_rows(history)) < 2 and chief.poll() is None:
        time.sleep(0.1)
    other.kill()
    other.communicate()
    assert "Another worker stopped" in finish(chief, code=2)
    epochs = len(read_rows(history)) + 2
    for process in begin_workers(epochs):
        finish(process)
    alone = ["--output", tmp_path / "alone", "--epochs", epochs]
    finish(start(*command, *alone))
    rows = read_rows(history)
    expected = read_rows(tmp_path / "alone" / "history.csv")
    assert [row["epoch"] for row in rows] == list(range(1, epochs + 1))
    for row, one in zip(rows, expected, strict=True):
        for name in ("loss", "val_loss"):
            assert row[name] == pytest.approx(one[name], abs=1e-4), row
    assert (tmp_path / "workers" / "metrics.json").exists()


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's strategies"
)
@pytest.mark.parametrize(
    "name, devices, config, message",
    [
        ("mirrored", ["GPU:7"], None, "`devices` must be of this machine"),
        ("multi_worker", ["CPU:0"], "{}", "`devices` are for .* mirrored"),
        ("multi_worker", None, "", "needs the environment variable TF_CONFIG"),
        ("multi_worker", None, "[1]", "such as .*host0:12345.*Received"),
        (
            "multi_worker",
            None,
            '{"cluster": {"worker": []}, "task": {"type": "worker", '
            '"index": 0}}',
            "needs the environment variable TF_CONFIG",
        ),
    ],
)
def test_says_what_is_wrong(monkeypatch, name, devices, config, message):
    monkeypatch.setenv("TF_CONFIG", config or "")
    with pytest.raises(ValueError, match=message):
        strategies.open_strategy(name, devices)
