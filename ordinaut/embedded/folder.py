"""A data folder in use: one owner at a time, nobody left over from the last one, a short place for its sockets."""

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOCKETS = "sockets"
SOCKET_PATH_MAX = 107  # bytes; sun_path of unix(7), with its final zero


class FolderInUseError(RuntimeError):
    """Another process owns the data folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes the folder (0700) if needed and owns it while this process lives, whatever ends it.

    Raises:
        FolderInUseError: somebody else does.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FolderInUseError(f"{folder} is in use by another running Ordinaut") from None


@contextmanager
def socket_folder(folder: Path) -> Iterator[Path]:
    """A private folder with a short path, removed at the end, or at the next start after a kill.

    `folder/sockets` links to it. Call it only while the folder is owned.
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
    return chosen if len(os.fsencode(chosen)) <= SOCKET_PATH_MAX - 40 else "/tmp"  # noqa: S108 - mkdtemp makes it private


def _remove_linked(link: Path) -> None:
    if link.is_symlink():
        target = link.readlink()
        if target.name.startswith("ordinaut-"):
            shutil.rmtree(target, ignore_errors=True)
        link.unlink()


def processes_in(folder: Path) -> list[int]:
    """Who works in the folder: both servers make it their working directory, so a reused pid cannot deceive."""
    pids = []
    target = str(folder.resolve())
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended, or is another user's
                if str((entry / "cwd").readlink()) == target:
                    pids.append(int(entry.name))
    return pids


async def end_processes_in(folder: Path, number: signal.Signals, within: float, leader: int | None = None) -> None:
    """Ends the servers of a killed owner: sends `number`, waits up to `within` seconds, then kills.

    With a `leader` only that process gets the signal: the others follow it. Call it only while the folder is owned:
    nobody else's server can be there then.
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
