"""Further schedulers beside the one of `ordinaut up`, and what is done to all of them."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ordinaut.embedded.process import command
from tests.acceptance.system import SystemUnderTest


class Replica:
    """One more scheduler on the system's database; `async with` ends it."""

    def __init__(self, system: SystemUnderTest, log: Path) -> None:
        self._environment = {
            **os.environ,
            "ORDINAUT_DATABASE_URL": system.said["database_url"],
            "ORDINAUT_REDIS_URL": system.said["redis_url"],
            "ORDINAUT_SCHEDULER_LISTEN": "127.0.0.1:0",
            "ORDINAUT_SCHEDULER_METRICS_PORT": "0",
        }
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process as it is now."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Launches it; it works once it is ready."""
        with self._log.open("ab") as log:
            tied = command([sys.executable, "-m", "scheduler"], signal.SIGKILL)
            self._process = await asyncio.create_subprocess_exec(*tied, env=self._environment, stdout=log, stderr=log)

    async def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class Schedulers:
    """The one of `ordinaut up` and `more` beside it: `async with Schedulers(...) as schedulers`."""

    def __init__(self, system: SystemUnderTest, folder: Path, more: int) -> None:
        self._system = system
        self._replicas = [Replica(system, folder / f"scheduler-{number}.log") for number in range(more)]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for replica in self._replicas:
            await self._stack.enter_async_context(replica)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def kill(self, number: int) -> None:
        """kill -9 of one, which comes back: the last is the one that `ordinaut up` keeps alive."""
        if number < len(self._replicas):
            await self._replicas[number].kill()
            await self._replicas[number].start()
        else:
            await self._system.kill("scheduler")

    async def stop(self, number: int, seconds: float) -> None:
        """SIGSTOP of one, and SIGCONT so much later."""
        kept = number == len(self._replicas)
        pid = (await self._system.until_some("scheduler"))[0] if kept else self._replicas[number].pid
        with suppress(ProcessLookupError):  # killed meanwhile
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(seconds)
            os.kill(pid, signal.SIGCONT)

    async def suspend(self, seconds: float) -> None:
        """Everything stops, PostgreSQL too, and goes on so much later."""
        await self._system.suspend(seconds, *(replica.pid for replica in self._replicas))
