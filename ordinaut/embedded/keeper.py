"""Keeps a server alive: what dies is launched again, at once the first time, later and later when it dies young."""

import asyncio
from contextlib import suppress
from typing import Protocol

from ordinaut.embedded.postgres import ServerStartError
from ordinaut.telemetry import get_logger

log = get_logger()
HEALTHY_SECONDS = 10.0
DELAY_SECONDS = 0.2
DELAY_MAX_SECONDS = 5.0


class Mortal(Protocol):
    """A server process that can be launched again after its death."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    async def launch(self) -> None:
        """Starts it and waits until it is ready."""
        ...

    async def wait(self) -> int:
        """Waits for its death."""
        ...

    async def stop(self) -> None:
        """Ends it."""
        ...


def delay(deaths: int) -> float:
    """Seconds to wait before the launch after so many deaths in a row without a healthy life between them."""
    return 0.0 if deaths <= 1 else min(DELAY_SECONDS * 2.0 ** min(deaths - 2, 16), DELAY_MAX_SECONDS)


class Keeper:
    """Watches one launched server until `stop`."""

    def __init__(self, name: str, server: Mortal) -> None:
        self.name = name
        self._server = server
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id of the server as it is now."""
        return self._server.pid

    def watch(self) -> None:
        """Begins to keep the server alive; it must have been launched."""
        self._watching = asyncio.create_task(self._watch(), name=f"keeper of {self.name}")

    async def stop(self) -> None:
        """Stops watching, then the server."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        await self._server.stop()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while True:
            born = loop.time()
            code = await self._server.wait()
            deaths = 1 if loop.time() - born >= HEALTHY_SECONDS else deaths + 1
            log.warning("process_died", server=self.name, code=code, deaths=deaths)
            await asyncio.sleep(delay(deaths))
            await self._launch()

    async def _launch(self) -> None:
        try:
            await self._server.launch()
        except (ServerStartError, OSError, TimeoutError) as failure:
            log.error("process_not_restarted", server=self.name, failure=str(failure))
        else:
            log.info("process_restarted", server=self.name, pid=self.pid)
