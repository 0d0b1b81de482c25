"""What every call of a known caller passes: rates of calls, streams, and large requests."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.admission.quotas import Quotas, exceeded, require
from gateway.admission.rates import Rates
from gateway.admission.usage import Usage
from gateway.authentication.caller import Caller, current_caller
from ordinaut.quotas import WATCHES_OF_A_TOKEN, Limit
from ordinaut.store.database import Database

CALLS, WATCHES, BYTES = "calls_per_second", "watches", "request_bytes_per_second"
WAIT_SECONDS = 30.0
HEAVY_CALLS = 1
BURST_BYTES_SECONDS = 1.0  # of which no request waits
STREAM_RETRY_SECONDS = 5.0
CALLS_OF_AN_ADDRESS = 2_000  # per second


class Door:
    """Refuses the calls of a caller that exceeds a quota, and delays its large requests."""

    def __init__(self, database: Database) -> None:
        self.quotas = Quotas(database)
        self.usage = Usage(database, self.quotas)
        self._rates = Rates()
        self._streams: Counter[tuple[str, ...]] = Counter()
        self._large_until: dict[str, float] = {}
        self._heavy: dict[str, tuple[asyncio.Semaphore, Counter[str]]] = {}

    async def enter(self, caller: Caller, address: str) -> None:
        """Counts a call.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        await self.take(CALLS, caller)
        self._rates.take_from(CALLS, CALLS_OF_AN_ADDRESS, address)

    async def take(self, name: str, caller: Caller, count: int = 1) -> None:
        """Counts `count` uses of a rate, such as `events_per_second`.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        limit = (await self.quotas.of(caller.project))[name]
        self._rates.take(name, limit, agent=caller.agent, project=caller.project, count=count)

    def rate(self, name: str, rate: int, key: str) -> int:
        """Returns the uses per second of an agent (`project/agents/…`) or a project."""
        return self._rates.used(name, rate, key)

    async def admit(self, size: int) -> None:
        """Delays a request of some size of the current caller, so that its project leaves time for others.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED: it would wait longer than 30 s.
        """
        project = current_caller().project
        rate = (await self.quotas.of(project))[BYTES].project or 1
        now = time.monotonic()
        turn = max(now - BURST_BYTES_SECONDS, self._large_until.get(project, 0.0))
        if turn - now > WAIT_SECONDS:
            raise exceeded(BYTES, rate, rate, f"projects/{project}", retry_after=turn - now)
        self._large_until[project] = turn + size / rate
        for other in [name for name, until in self._large_until.items() if until < now - BURST_BYTES_SECONDS]:
            del self._large_until[other]
        if turn > now:
            await asyncio.sleep(turn - now)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[None]:
        """Counts an open stream of the current caller.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        caller = current_caller()
        limit = (await self.quotas.of(caller.project))[WATCHES]
        project, agent = (caller.project,), (caller.project, caller.agent)
        token = (*agent, caller.token)
        self._require_stream(caller, limit, token)
        for key in (project, agent, token):
            self._streams[key] += 1
        try:
            yield
        finally:
            for key in (project, agent, token):
                self._streams[key] -= 1
                if not self._streams[key]:
                    del self._streams[key]

    @asynccontextmanager
    async def heavy(self) -> AsyncIterator[None]:
        """Waits until no other large request of the caller's project is executed: each needs a connection."""
        project = current_caller().project
        slots, waiting = self._heavy.setdefault(project, (asyncio.Semaphore(HEAVY_CALLS), Counter()))
        waiting[project] += 1
        try:
            async with slots:
                yield
        finally:
            waiting[project] -= 1
            if not waiting[project]:
                self._heavy.pop(project, None)

    def streams(self, *key: str) -> int:
        """Returns the open streams of a project, or of a project and an agent."""
        return self._streams[key]

    def _require_stream(self, caller: Caller, limit: Limit, token: tuple[str, ...]) -> None:
        if self._streams[token] >= WATCHES_OF_A_TOKEN:
            raise exceeded(
                WATCHES, WATCHES_OF_A_TOKEN, self._streams[token], caller.token_name, retry_after=STREAM_RETRY_SECONDS
            )
        require(
            WATCHES,
            limit,
            of_agent=self._streams[caller.project, caller.agent],
            of_project=self._streams[(caller.project,)],
            added=1,
            agent=caller.agent,
            project=caller.project,
            retry_after=STREAM_RETRY_SECONDS,
        )
