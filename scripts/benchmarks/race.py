"""Programs that take one step at a time, measured by turns."""

import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dca_keras

SCRIPTS = Path(__file__).resolve().parents[1]
PROJECT = Path(dca_keras.__file__).resolve().parents[1]
# Where `ru_maxrss` is in bytes; it is in KiB elsewhere.
_IN_BYTES = sys.platform == "darwin"


@dataclasses.dataclass(frozen=True)
class Command:
    """A program that speaks the line protocol.

    It prints `ready`; then, for every line it reads, it takes one step and
    prints the seconds that took. A line of JSON before `ready`, an object,
    holds facts that go into the report; other lines there are passed over.

    Args:
        arguments: The program and its arguments.
        environment: Variables to set on top of this process's.
    """

    arguments: tuple
    environment: dict = dataclasses.field(default_factory=dict)


def module_command(module, *arguments, checkout=None, **environment):
    """A command that runs one of these modules as a program.

    Args:
        module: Its name, such as `"benchmarks.worker"`.
        *arguments: Strings.
        checkout: The folder that `dca_keras` is imported from; `None` is
            this process's.
        **environment: As for `Command`.
    """
    path = os.pathsep.join([str(checkout or PROJECT), str(SCRIPTS)])
    if "PYTHONPATH" in os.environ:
        path += os.pathsep + os.environ["PYTHONPATH"]
    # -P: the folder that the user happens to be in comes before no other.
    return Command(
        (sys.executable, "-P", "-m", module, *arguments),
        {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path, **environment},
    )


def keep_protocol(step, facts=None, clock=time.perf_counter):
    """Takes steps as a `Command`'s program does, until its input ends.

    Args:
        step: A function of nothing that takes one step.
        facts: A dictionary that goes into the report, or `None`.
        clock: A function of nothing that returns seconds.
    """
    if facts is not None:
        _say(json.dumps(facts))
    _say("ready")
    for _ in sys.stdin:
        start = clock()
        step()
        _say(clock() - start)


def _say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run_race(commands, rounds, progress=lambda label: None):
    """Measures programs by turns, each in a fresh process.

    All are started first, one after the other. A process is stopped (SIGSTOP)
    while another one runs, as idle thread pools spin. In every round each
    takes two steps, of which the second counts: the first one warms the
    caches that the others have emptied.

    Args:
        commands: A mapping from labels to `Command`s.
        rounds: How many steps of each count, at least one.
        progress: Called with a label before its program starts and before
            each of its turns.

    Returns:
        A mapping from the labels to dictionaries: "seconds", the median of
        the steps; "steps", all of them; "peak_memory", the most bytes of
        memory that the process had resident, libraries included; and the
        program's own facts.

    Raises:
        ValueError: If there are no rounds, or if a program can't be started,
            ends early or does not keep to the protocol.
    """
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1. Received: {rounds}.")
    with contextlib.ExitStack() as stack:
        racers = {}
        for label, command in commands.items():
            progress(label)
            racer = stack.enter_context(_Racer(label, command))
            racers[label] = racer
        for _ in range(rounds):
            for label, racer in racers.items():
                progress(label)
                racer.take_turn()
        return {label: racer.finish() for label, racer in racers.items()}


class _Racer:
    """One running program."""

    def __init__(self, label, command):
        self.label, self.command = label, command
        self.steps, self.facts = [], {}

    def __enter__(self):
        self._errors = tempfile.TemporaryFile("w+")
        try:
            self._process = subprocess.Popen(
                self.command.arguments,
                env={**os.environ, **self.command.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                start_new_session=True,  # Ctrl-C is this process's matter.
            )
        except OSError as error:
            self._errors.close()
            raise ValueError(
                f"{self.label!r} can't be started: {error}. Name a program "
                "that speaks the line protocol."
            ) from error
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._process.returncode is None:
            self._end()
        # What a program that ended did not read can't be flushed.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def take_turn(self):
        self._signal(signal.SIGCONT)
        self._step()
        self.steps.append(self._step())
        self._signal(signal.SIGSTOP)

    def finish(self):
        """Ends the program and says what was measured."""
        status = Path(f"/proc/{self._process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        peaks = [int(li.split()[1]) for li in lines if li.startswith("VmHWM")]
        usage = self._end()
        # On Linux `ru_maxrss` starts at what this process has.
        peak = peaks[0] if peaks else usage.ru_maxrss
        return {
            "seconds": statistics.median(self.steps),
            "steps": self.steps,
            "peak_memory": peak * (1 if _IN_BYTES else 1024),
            **self.facts,
        }

    def _wait_until_ready(self):
        start = time.perf_counter()
        while (line := self._read()) != "ready":
            with contextlib.suppress(json.JSONDecodeError):
                facts = json.loads(line)
                self.facts |= facts if isinstance(facts, dict) else {}
        self.facts["seconds_until_ready"] = time.perf_counter() - start
        self._signal(signal.SIGSTOP)

    def _step(self):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("step\n")
            self._process.stdin.flush()
        line = self._read()
        try:
            return float(line)
        except ValueError:
            raise ValueError(
                f"{self.label!r} must print the seconds of a step for every "
                f"line it reads. It printed: {line!r}."
            ) from None

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip()[-2000:]
            raise ValueError(
                f"{self.label!r} ended before it was done. Its last words: "
                f"{last or '(none)'}"
            )
        return line.strip()

    def _signal(self, number):
        os.kill(self._process.pid, number)

    def _end(self):
        # Killed, not asked: it is stopped, and has nothing left to save.
        self._signal(signal.SIGKILL)
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return usage
