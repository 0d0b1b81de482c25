"""A child process that never outlives this one, and whose end can be awaited."""

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
    """`argv` behind the program that sends it `death_signal` when the calling thread ends, however it ends.

    Start it from the main thread and without a shell between: the signal follows the thread that created the child.

    Raises:
        RuntimeError: not on Linux, or not in the main thread.
    """
    if sys.platform != "linux":
        raise RuntimeError("embedded servers need Linux: only its kernel ends children with their parent")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start embedded servers from the main thread: they end with the thread that started them")
    return [sys.executable, "-I", "-S", launcher.__file__, death_signal.name, str(os.getpid()), identity, *argv]


class ChildProcess:
    """A started process; create it inside the running event loop of the main thread.

    `output` takes what it writes (None: the caller reads `stdout`). It is in a session of its own, so that Ctrl-C in
    a terminal reaches only its parent.
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
        """Its process id, from the first moment on: the shim becomes the program."""
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes] | None:
        """Its standard output, when that is a pipe."""
        return self._process.stdout

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    async def wait(self) -> int:
        """Waits for its end; negative results are signals."""
        await self._ended.wait()
        return self._process.wait()

    async def stop(self, number: signal.Signals, within: float) -> None:
        """Sends `number`, and SIGKILL when it still runs after `within` seconds."""
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
