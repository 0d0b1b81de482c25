"""Restarts a server process that exits: at once the first time, with increasing delays when it exits repeatedly."""

import asyncio
from contextlib import suppress
from typing import Protocol

from ordinaut.embedded.postgres import ServerStartError
from ordinaut.telemetry import get_logger

log = get_logger()
HEALTHY_SECONDS = 10.0
DELAY_SECONDS = 0.2
DELAY_MAX_SECONDS = 5.0


class RestartableServer(Protocol):
    """A server process that can be launched again after it has exited."""

    @property
    def pid(self) -> int:
        """The process id."""
        ...

    async def launch(self) -> None:
        """Starts the process and waits until it is ready."""
        ...

    async def wait(self) -> int:
        """Waits until the process has exited and returns its exit code."""
        ...

    async def stop(self) -> None:
        """Stops the process."""
        ...


def restart_delay(exits: int) -> float:
    """Seconds to wait before the next launch, after `exits` consecutive exits within HEALTHY_SECONDS of a launch."""
    return 0.0 if exits <= 1 else min(DELAY_SECONDS * 2.0 ** min(exits - 2, 16), DELAY_MAX_SECONDS)


class Supervisor:
    """Supervises one launched server until `stop`."""

    def __init__(self, name: str, server: RestartableServer) -> None:
        self.name = name
        self._server = server
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id of the current server process."""
        return self._server.pid

    def watch(self) -> None:
        """Starts supervision; the server must have been launched."""
        self._watching = asyncio.create_task(self._watch(), name=f"supervisor of {self.name}")

    async def stop(self) -> None:
        """Stops supervision, then the server."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        await self._server.stop()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        exits = 0
        while True:
            started = loop.time()
            code = await self._server.wait()
            exits = 1 if loop.time() - started >= HEALTHY_SECONDS else exits + 1
            log.warning("process_died", server=self.name, code=code, deaths=exits)
            await asyncio.sleep(restart_delay(exits))
            await self._launch()

    async def _launch(self) -> None:
        try:
            await self._server.launch()
        except (ServerStartError, OSError, TimeoutError) as failure:
            log.error("process_not_restarted", server=self.name, failure=str(failure))
        else:
            log.info("process_restarted", server=self.name, pid=self.pid)
