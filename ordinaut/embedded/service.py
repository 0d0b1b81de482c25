"""One of the four services as a child process, `python -m NAME`, which announces when it is ready."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from ordinaut.embedded.postgres import ServerStartError, last_lines
from ordinaut.embedded.process import ChildProcess

READY_SECONDS = 30.0
LOG_MAX_BYTES = 16 * 1024 * 1024  # then the log is renamed at the next launch
GRACE_MARGIN_SECONDS = 5.0


class Service:
    """A service with its environment; `log` receives its standard error (None: standard error of this process).

    `grace_seconds` is the time in which the service finishes its work after SIGTERM; it is killed shortly after that.
    """

    def __init__(self, name: str, environment: Mapping[str, str], log: Path | None, grace_seconds: float) -> None:
        self.name = name
        self._environment = environment
        self._log = log
        self._grace_seconds = grace_seconds
        self._process: ChildProcess | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 before the first launch."""
        return self._process.pid if self._process else 0

    async def launch(self) -> None:
        """Starts the process and waits until it is ready.

        Raises:
            ServerStartError: it exited, or was not ready within 30 seconds.
        """
        self._process = self._start()
        ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read(self._process, ready))
        try:
            await self._until(ready, self._process)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Waits until the process has exited and returns its exit code."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """Sends SIGTERM and waits until the service has finished its work."""
        if self._process is not None:
            await self._process.stop(signal.SIGTERM, self._grace_seconds + GRACE_MARGIN_SECONDS)
        if self._reading is not None:
            await self._reading

    def _start(self) -> ChildProcess:
        argv = [
            sys.executable,
            "-P",
            "-m",
            self.name,
        ]  # -P: a folder `worker` in the current directory must not be imported
        if self._log is None:
            return ChildProcess(
                argv, signal.SIGTERM, environment=self._environment, stdout=subprocess.PIPE, stderr=None
            )
        with _opened(self._log) as log:
            return ChildProcess(argv, signal.SIGTERM, environment=self._environment, stdout=subprocess.PIPE, stderr=log)

    async def _until(self, ready: asyncio.Event, process: ChildProcess) -> None:
        became_ready = asyncio.create_task(ready.wait())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({became_ready, ended}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            became_ready.cancel()
            ended.cancel()
        if not ready.is_set():
            reason = last_lines(self._log) if self._log else "see the log above"
            raise ServerStartError(f"{self.name} did not become ready: {reason}")

    async def _read(self, process: ChildProcess, ready: asyncio.Event) -> None:
        """Reads standard output to its end, so that the pipe never fills up."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), process.stdout
        )
        try:
            async for line in reader:
                if _is_ready(line):
                    ready.set()
        finally:
            transport.close()


def _opened(log: Path) -> BinaryIO:
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        log.replace(log.with_suffix(".old.log"))
    return log.open("ab")


def _is_ready(line: bytes) -> bool:
    try:
        announcement = json.loads(line)
    except ValueError:
        return False
    return isinstance(announcement, dict) and announcement.get("ready") is True
