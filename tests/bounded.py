"Programs that a test starts, and calls that it makes: they end within a time, and nothing of them is left behind."

import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]


@contextmanager
def bounded(words: Sequence[Any], seconds: float = 120, **options: Any) -> Iterator[subprocess.Popen]:
    """A program in a session of its own, with posegen in reach and pipes for what it says.

    All of its processes are killed at the end of the block, or after so many seconds: whoever reads the pipes
    then goes on.
    """
    places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    options = (
        dict(
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": places, **options.pop("env", {})},
        )
        | options
    )
    with subprocess.Popen([str(word) for word in words], **options) as program:
        end = threading.Timer(seconds, kill_all, [program.pid])
        end.start()
        try:
            yield program
        finally:
            end.cancel()
            kill_all(program.pid)


def run_bounded(words: Sequence[Any], seconds: float = 120, **options: Any) -> subprocess.CompletedProcess:
    "`subprocess.run` with text output, whose time limit holds for the program's own children too."
    with bounded(words, seconds, **options) as program:
        out, error = program.communicate()
    return subprocess.CompletedProcess(words, program.returncode, out, error)


def kill_all(session: int) -> None:
    "Kill a program that leads a session, its descendants (who may lead others), and orphans in its session."
    try:
        family = psutil.Process(session).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    try:  # the leader first: it might end by itself, and well, where its child is gone
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        pass
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    "Ends what hangs."

    def too_long(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def within_bounds(seconds: int = 30, gigabytes: float = 1) -> Iterator[None]:
    "Ends what takes too long; fails where the process grew by more than so much."
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with at_most(seconds):
        yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < gigabytes * 2**20
