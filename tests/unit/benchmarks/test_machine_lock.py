"""One benchmark at a time: the lock names its holder, and waiting for it has an end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.machine_lock import BenchmarkRunningError, lock_path, machine_lock

HOLDER = """
import sys
from pathlib import Path
from benchmarks.harness.machine_lock import machine_lock
with machine_lock(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bench.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_held_lock_is_refused_and_the_holder_named(path: Path, holder: subprocess.Popen[bytes]) -> None:
    message = rf"another benchmark is running on this machine \(pid {holder.pid}, lock file {path}\)"
    with pytest.raises(BenchmarkRunningError, match=message), machine_lock(path):
        pass


def test_waiting_ends_at_its_limit(path: Path, holder: subprocess.Popen[bytes]) -> None:
    message = rf"after waiting 0.05 s \(pid {holder.pid},"
    with pytest.raises(BenchmarkRunningError, match=message), machine_lock(path, wait_seconds=0.05):
        pass


def test_the_lock_of_a_killed_process_is_free(path: Path, holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    with machine_lock(path, wait_seconds=30):
        assert path.read_text() == str(os.getpid())


def test_the_lock_is_released_after_a_failure(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), machine_lock(path):
        raise ZeroDivisionError
    with machine_lock(path):
        assert path.read_text() == str(os.getpid())


def test_a_longer_pid_of_an_earlier_holder_leaves_no_digits(path: Path) -> None:
    path.write_text("123456789012")
    with machine_lock(path):
        assert path.read_text() == str(os.getpid())


def test_every_user_of_the_machine_can_take_the_lock(path: Path) -> None:
    with machine_lock(path):
        assert path.stat().st_mode & 0o777 == 0o666


def test_the_lock_file_is_in_the_system_temp_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert lock_path() == tmp_path / "ordinaut-benchmarks.lock"
