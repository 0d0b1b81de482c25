"""A child process that ends with its parent and can be awaited."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

from ordinaut.embedded import launcher

Identity = Literal["same", "namespace", "nobody"]


def command(argv: Sequence[str], death_signal: signal.Signals, identity: Identity = "same") -> list[str]:
    """Returns the command line that runs `argv` so that it receives `death_signal` when the calling thread ends.

    Start it from the main thread and without a shell: the kernel sends the signal when the thread that created the
    child ends.

    Raises:
        RuntimeError: not on Linux, or not in the main thread.
    """
    if sys.platform != "linux":
        raise RuntimeError(
            f"embedded servers require Linux (got {sys.platform}): other kernels do not end children with their parent"
        )
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "embedded servers must be started from the main thread, because they end with the thread that starts them"
        )
    return [sys.executable, "-I", "-S", launcher.__file__, death_signal.name, str(os.getpid()), identity, *argv]


class ChildProcess:
    """A started process; must be created inside the running event loop of the main thread.

    It runs in a new session, so that Ctrl-C in a terminal signals only its parent.
    """

    def __init__(
        self,
        argv: Sequence[str],
        death_signal: signal.Signals,
        *,
        identity: Identity = "same",
        environment: Mapping[str, str] | None = None,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] | None = subprocess.STDOUT,
        cwd: Path | None = None,
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own programs
            command(argv, death_signal, identity),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
        self._ended = asyncio.Event()
        self._descriptor = os.pidfd_open(self._process.pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._reap)

    @property
    def pid(self) -> int:
        """The process id; the launcher keeps it when it executes the program."""
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes] | None:
        """The standard output, if it is a pipe."""
        return self._process.stdout

    @property
    def running(self) -> bool:
        """Whether the process has not exited."""
        return not self._ended.is_set()

    async def wait(self) -> int:
        """Waits until the process has exited; returns the exit code, or the negative number of a signal."""
        await self._ended.wait()
        return self._process.wait()

    async def stop(self, number: signal.Signals, within: float) -> None:
        """Sends `number`, then SIGKILL if the process has not exited within `within` seconds."""
        if self.running:
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(within):
                await self._ended.wait()
        except TimeoutError:
            self._process.kill()
            await self._ended.wait()

    def _reap(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._process.wait()
        self._ended.set()
