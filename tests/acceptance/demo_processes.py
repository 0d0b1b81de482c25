"""Which processes belong to a demo: those that were told its temporary folder, or that work inside of it."""

import os
import select
import time
from contextlib import suppress
from pathlib import Path


def processes_of(folder: Path) -> dict[int, str]:
    """Command lines by process id, this process left out."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):  # it has ended meanwhile
                if _belongs(entry, str(folder)):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def _belongs(entry: Path, folder: str) -> bool:
    told = f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes().split(b"\0")
    return told or str((entry / "cwd").readlink()).startswith(folder)


def wait_until_gone(folder: Path, within: float) -> None:
    """Waits for the end of each process of the folder, also of those that appear meanwhile.

    Raises:
        AssertionError: some still run after so many seconds.
    """
    deadline = time.monotonic() + within
    while left := processes_of(folder):
        assert time.monotonic() < deadline, left
        with suppress(ProcessLookupError):
            _wait(next(iter(left)), deadline - time.monotonic())


def _wait(pid: int, seconds: float) -> None:
    descriptor = os.pidfd_open(pid)
    try:
        select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)
