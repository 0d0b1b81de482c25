"""What projects use of the quotas that are not counted at each call: live runs and stored bytes.

The figures are read when a call needs them and are kept for a short time, so that a quota costs no statement per call.
What this process adds in between is counted here.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from gateway.admission.quotas import MARGIN, Limits, Quotas, exceeded, require
from gateway.authentication.caller import AGENTS
from ordinaut.store import quota
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger

log = get_logger()
RUNS_SECONDS = 1.0
BYTES_SECONDS = 60.0
RETRY_SECONDS = 5.0
PROJECTS_MAX = 1_000
NEAR = 0.9
PAUSE_FACTOR = 50  # what takes long is read less often


Key = tuple[str, ...]
Read = Callable[[Connection], Awaitable[Counter[Key]]]


class _Figures:
    """Counts of one kind, read again when they are older than `seconds`; what is added in between is counted here."""

    def __init__(self, database: Database, seconds: float, read: Read) -> None:
        self._database = database
        self._seconds = seconds
        self._read = read
        self._counts: Counter[Key] = Counter()
        self._added: Counter[Key] = Counter()
        self._until = float("-inf")
        self._reading = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None

    def __getitem__(self, key: Key) -> int:
        return self._counts[key] + self._added[key]

    def add(self, key: Key, amount: int) -> None:
        self._added[key] += amount

    @property
    def is_outdated(self) -> bool:
        return time.monotonic() >= self._until

    @property
    def is_known(self) -> bool:
        return self._until > float("-inf")

    def refresh_later(self) -> None:
        """Starts to read outdated figures."""
        if self.is_outdated and (self._background is None or self._background.done()):
            self._background = asyncio.create_task(self._refresh_in_background())

    async def refresh(self, connection: Connection | None, *, anyway: bool = False) -> None:
        """Reads outdated figures (`anyway`: all), on the caller's connection if it has one."""
        async with self._reading:
            if not (anyway or self.is_outdated):
                return
            start, before = time.monotonic(), self._added.copy()
            if connection is None:
                async with self._database.connection() as own:
                    counts = await self._read(own)
            else:
                counts = await self._read(connection)
            self._counts, now = counts, time.monotonic()
            self._until = now + max(self._seconds, (now - start) * PAUSE_FACTOR)
            self._added -= before

    async def _refresh_in_background(self) -> None:
        try:
            await self.refresh(None)
        except STORE_FAILURES as failure:
            log.warning("usage_not_read", failure=str(failure))


class Usage:
    """The usage of all projects.

    Figures far below a limit are read in the background, those near it before the call is accepted.
    """

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas
        self._runs = _Figures(database, RUNS_SECONDS, _live_runs)
        self._bytes: dict[str, _Figures] = {}

    async def require_run(self, connection: Connection, project: str, owner: str, *, inline: bool = False) -> None:
        """Counts a new live run of `owner` (`agents/…`); `connection` is one that the caller has.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        limits, figures = self._quotas.known(project), self._runs
        if self._is_near(limits, project, owner):
            await figures.refresh(connection)
        else:
            figures.refresh_later()
        for name in ("live_runs", "inline_runs") if inline else ("live_runs",):
            require(
                name,
                limits[name],
                of_agent=figures[name, project, owner],
                of_project=figures[name, project],
                added=1,
                agent=owner.removeprefix(AGENTS),
                project=project,
                retry_after=RETRY_SECONDS,
            )
        for key in _keys(project, owner, inline=inline):
            figures.add(key, 1)

    async def require_bytes(self, name: str, project: str, size: int, connection: Connection | None = None) -> None:
        """Counts bytes that are added to the state or the pipelines (`state_bytes`, `pipeline_bytes`) of a project.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        limit, figures = self._quotas.known(project)[name].project, self._stored(project)
        if limit is None:
            return
        if not figures.is_known or figures[(name,)] + size > limit * NEAR:
            await figures.refresh(connection)
        else:
            figures.refresh_later()
        if figures[(name,)] + size > limit:
            raise exceeded(name, limit, figures[(name,)], f"projects/{project}")
        figures.add((name,), size)

    async def figures(self, project: str, owner: str) -> dict[tuple[str, str], int]:
        """Returns what is used, by quota and `agent` or `project`."""
        runs, stored = self._runs, self._stored(project)
        await runs.refresh(None, anyway=True)
        await stored.refresh(None)
        return {
            ("live_runs", "agent"): runs["live_runs", project, owner],
            ("live_runs", "project"): runs["live_runs", project],
            ("inline_runs", "agent"): runs["inline_runs", project, owner],
            ("state_bytes", "project"): stored[("state_bytes",)],
            ("pipeline_bytes", "project"): stored[("pipeline_bytes",)],
        }

    def _is_near(self, limits: Limits, project: str, owner: str) -> bool:
        return any(
            limit is not None and self._runs[key] + MARGIN > limit
            for key, limit in (
                (("live_runs", project), limits["live_runs"].project),
                (("live_runs", project, owner), limits["live_runs"].agent),
                (("inline_runs", project, owner), limits["inline_runs"].agent),
            )
        )

    def _stored(self, project: str) -> _Figures:
        figures = self._bytes.get(project)
        if figures is None:

            async def read(connection: Connection) -> Counter[Key]:
                stored = await quota.stored_bytes(connection, project)
                return Counter({("state_bytes",): stored.state, ("pipeline_bytes",): stored.pipelines})

            figures = self._bytes[project] = _Figures(self._database, BYTES_SECONDS, read)
            if len(self._bytes) > PROJECTS_MAX:
                self._bytes.pop(next(iter(self._bytes)))
        return figures


def _keys(project: str, owner: str, *, inline: bool) -> list[Key]:
    keys: list[Key] = [("live_runs", project), ("live_runs", project, owner)]
    return [*keys, ("inline_runs", project, owner)] if inline else keys


async def _live_runs(connection: Connection) -> Counter[Key]:
    counts: Counter[Key] = Counter()
    for row in await quota.live_runs(connection):
        counts["live_runs", row.project] += row.runs
        counts["live_runs", row.project, row.owner] = row.runs
        counts["inline_runs", row.project, row.owner] = row.inline
    return counts
