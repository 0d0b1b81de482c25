"""The demo is a black-box test of the whole system: it ends with 0 only when every promise was kept."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.demo_processes import processes_of, wait_until_gone
from tests.sample import FULL

COMMAND = [sys.executable, "-m", "examples.morning_briefing.demo"]
STORY_SECONDS = 150
READY_MARK = "ready: gRPC"


@contextmanager
def demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo as a process whose temporary files are in `folder`."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(
        COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], mark: str) -> None:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if mark in line:
            return
    raise AssertionError("".join(said))


def test_the_story_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        said, _ = process.communicate(timeout=STORY_SECONDS)
    assert process.returncode == 0, said
    assert "exactly one mail for this occurrence" in said
    assert processes_of(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL] if FULL else [signal.SIGINT])
def test_a_demo_that_is_ended_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    """Only after an interruption it removes its files as well."""
    with demo(tmp_path) as process:
        read_until(process, READY_MARK)
        assert processes_of(tmp_path) != {}
        process.send_signal(number)
        process.communicate(timeout=60)
        if number == signal.SIGKILL:
            wait_until_gone(tmp_path, within=30)
        else:
            assert process.returncode == 130
            assert processes_of(tmp_path) == {}
            assert list(tmp_path.iterdir()) == []
