"""One benchmark at a time per machine: two at once would measure each other."""

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never

LOCK_FILE = "ordinaut-benchmarks.lock"


class BenchmarkRunningError(RuntimeError):
    """Another process on this machine holds the benchmark lock."""


def lock_path() -> Path:
    """The lock file. It stays after the run: removing it would let two processes lock two different files."""
    return Path(tempfile.gettempdir()) / LOCK_FILE


@contextmanager
def machine_lock(path: Path, wait_seconds: float = 0) -> Iterator[None]:
    """Holds the lock; the kernel releases it if the process crashes. Call it in the main thread: it uses SIGALRM.

    Raises:
        BenchmarkRunningError: another process holds the lock and did not release it within `wait_seconds`.
    """
    descriptor = _open(path)
    try:
        _acquire(descriptor, path, wait_seconds)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    # Without O_CREAT first: Linux (fs.protected_regular) refuses O_CREAT for another user's file in a sticky folder.
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CREAT, 0o666)
        os.fchmod(descriptor, 0o666)  # other users of the machine take the same lock, with any umask
        return descriptor


def _acquire(descriptor: int, path: Path, wait_seconds: float) -> None:
    try:
        if wait_seconds > 0:
            _flock_within(descriptor, wait_seconds)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, TimeoutError):
        holder = os.pread(descriptor, 20, 0).decode() or "unknown"
        waited = f" after waiting {wait_seconds:g} s" if wait_seconds > 0 else ""
        raise BenchmarkRunningError(
            f"another benchmark is running on this machine{waited} (pid {holder}, lock file {path})"
        ) from None


def _flock_within(descriptor: int, seconds: float) -> None:
    """A blocking flock that an alarm interrupts: flock(2) has no timeout."""
    previous = signal.signal(signal.SIGALRM, _raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _raise_timeout(_number: int, _frame: object) -> Never:
    raise TimeoutError
