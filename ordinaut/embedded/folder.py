"""Exclusive use of a data folder: lock, short socket path, and cleanup of processes of a killed owner."""

import asyncio
import fcntl
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOCKETS = "sockets"
SOCKET_PATH_MAX = 107  # bytes; sun_path of unix(7) has 108 with the terminating zero


class FolderInUseError(RuntimeError):
    """Another process uses the data folder."""


@contextmanager
def locked(folder: Path, mode: int = 0o700) -> Iterator[None]:
    """Creates the folder if necessary and locks it; the kernel releases the lock when this process ends.

    Rights of an existing folder beyond `mode` are removed.

    Raises:
        FolderInUseError: another process holds the lock.
        PermissionError: the folder belongs to another user and other users may use it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tighten(folder, mode)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def tighten(path: Path, mode: int) -> None:
    """Removes the rights beyond `mode` from a file or folder.

    Raises:
        PermissionError: it has such rights and belongs to another user.
    """
    current = stat.S_IMODE(path.stat().st_mode)
    if current & ~mode & 0o777:
        path.chmod(current & mode)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FolderInUseError(f"{folder} is in use by another running Ordinaut") from None


@contextmanager
def socket_folder(folder: Path) -> Iterator[Path]:
    """Creates a private folder with a short path, removed on exit, or on the next start after a kill.

    `folder/sockets` links to it. The caller must hold the lock of `folder`.
    """
    link = folder / SOCKETS
    _remove_linked(link)
    directory = Path(tempfile.mkdtemp(prefix="ordinaut-", dir=_short_temporary_folder()))
    link.symlink_to(directory)
    try:
        yield directory
    finally:
        _remove_linked(link)


def _short_temporary_folder() -> str:
    chosen = tempfile.gettempdir()
    return chosen if len(os.fsencode(chosen)) <= SOCKET_PATH_MAX - 40 else "/tmp"  # noqa: S108 - mkdtemp creates a private folder


def _remove_linked(link: Path) -> None:
    if link.is_symlink():
        target = link.readlink()
        if target.name.startswith("ordinaut-"):
            shutil.rmtree(target, ignore_errors=True)
        link.unlink()


def processes_in(folder: Path) -> list[int]:
    """Pids of processes with the folder as working directory, as is the case for both servers.

    A recorded pid could have been reused by an unrelated process; a working directory cannot be mistaken.
    """
    pids = []
    target = str(folder.resolve())
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended, or belongs to another user
                if str((entry / "cwd").readlink()) == target:
                    pids.append(int(entry.name))
    return pids


async def end_processes_in(folder: Path, number: signal.Signals, within: float, leader: int | None = None) -> None:
    """Ends the servers that a killed owner has left: sends `number`, waits up to `within` seconds, then kills.

    With a `leader`, only that process receives the signal and ends the others. The caller must hold the lock of the
    data folder, so that no server of another owner can be affected.
    """
    pids = processes_in(folder)
    for pid in pids:
        _signal(pid, number if leader in {None, pid} else None)
    if not await _all_ended(pids, within):
        for pid in processes_in(folder):
            _signal(pid, signal.SIGKILL)
        await _all_ended(pids, within)


def _signal(pid: int, number: signal.Signals | None) -> None:
    with suppress(ProcessLookupError):
        if number is not None:
            os.kill(pid, number)


async def _all_ended(pids: list[int], within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await asyncio.gather(*(_ended(pid) for pid in pids))
    except TimeoutError:
        return False
    return True


async def _ended(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
