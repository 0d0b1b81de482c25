"""Where a test session keeps its servers and sockets: one folder, removed at its end, or by the next one after a kill.

The folder is in memory where there is room: the databases of tests need not survive a power cut.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "ordinaut-tests-"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 1024**3


@contextmanager
def session_folder() -> Iterator[Path]:
    """A folder in which any user may make files: PostgreSQL does not run as root."""
    places = [Path(tempfile.gettempdir())]
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM_BYTES:
        places.insert(0, MEMORY)
    for place in places:
        remove_abandoned(place)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=places[0]))
    folder.chmod(0o1777)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(place: Path) -> None:
    """Removes the folders of sessions that were killed: only a live session holds the lock of its folder."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, or just removed
            _remove_unlocked(folder)


def _remove_unlocked(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
