"""The health of the processes that this gateway depends on."""

import asyncio
from collections.abc import Mapping

from gateway.clients import EngineClient, SchedulerClient
from ordinaut.errors import OrdinautError
from ordinaut.store import system
from ordinaut.store.database import Database
from ordinaut.v1.error_pb2 import ErrorReason

SERVING = "SERVING"
POSTGRES = "postgres"
STORE_SECONDS = 2.0


class Health:
    """Checks PostgreSQL, the scheduler and the engines."""

    def __init__(self, database: Database, scheduler: SchedulerClient, engines: EngineClient) -> None:
        self._database = database
        self._scheduler = scheduler
        self._engines = engines

    async def check(self) -> Mapping[str, str]:
        """Returns `SERVING`, or why not, by name: postgres, scheduler, engine. Takes at most two seconds."""
        postgres, scheduler, engine = await asyncio.gather(
            self._postgres(), self._scheduler.health(), self._engines.health()
        )
        return {POSTGRES: postgres, "scheduler": scheduler, "engine": engine}

    async def workers(self) -> int | None:
        """Returns the number of workers with a live lease; None while PostgreSQL does not answer."""
        try:
            async with asyncio.timeout(STORE_SECONDS), self._database.connection() as connection:
                return await system.worker_count(connection)
        except (TimeoutError, OrdinautError):
            return None

    async def _postgres(self) -> str:
        try:
            async with asyncio.timeout(STORE_SECONDS), self._database.connection() as connection:
                await system.ping(connection)
        except TimeoutError:
            return "TIMEOUT"
        except OrdinautError as failure:
            return ErrorReason.Name(failure.reason)
        return SERVING
