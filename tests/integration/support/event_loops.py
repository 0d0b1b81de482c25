"""The loops of a scheduler that number, match and wait for events, in the background of a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from scheduler.events.backlog_scan import BacklogScan
from scheduler.events.matcher import Matcher
from scheduler.events.relay import Relay
from scheduler.maintenance.child_runs import ChildRuns
from scheduler.maintenance.expire_waits import ExpireWaits
from tests.integration.support.judging import judge
from tests.integration.support.scheduler_rig import NoStream

PAUSE_SECONDS = 0.01


@asynccontextmanager
async def event_loops(database: Database) -> AsyncIterator[None]:
    """Runs them until the test leaves the block; a loop that fails makes the test fail."""
    hints = Hints(database)
    stream = NoStream()
    relay = Relay(database, stream, hints)  # type: ignore[arg-type]
    matcher = Matcher(database, hints)
    loops = [
        BacklogScan(database, hints).run_once,
        ExpireWaits(database, hints).run_once,
        ChildRuns(database, hints).run_once,
        judge(database, hints).run_once,
    ]

    async def serve() -> None:
        while True:
            await relay.number()
            await matcher.run_once()
            for run_once in loops:
                await run_once()
            await asyncio.sleep(PAUSE_SECONDS)

    serving = asyncio.create_task(serve())
    try:
        yield
        assert not serving.done(), serving.exception()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
