"""What projects use of the quotas that are not counted at each call: live runs and stored bytes.

The figures are read when a call needs them and are kept for a short time, so that a quota costs no statement per call.
What this process adds in between is counted here.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.admission.quotas import Quotas, exceeded, require
from gateway.authentication.caller import AGENTS
from ordinaut.store import quota
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.telemetry import get_logger

log = get_logger()
RUNS_SECONDS = 1.0
BYTES_SECONDS = 60.0
RETRY_SECONDS = 5.0
PROJECTS_MAX = 1_000


@dataclass(slots=True)
class _Figures:
    """Counts by (project, owner) or by kind; `read_at` is of time.monotonic()."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    read_at: float = float("-inf")


class Usage:
    """The usage of all projects; figures that are too old are read again in the background."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas
        self._runs = _Figures()
        self._bytes: dict[str, _Figures] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    async def require_run(self, project: str, owner: str, *, inline: bool = False) -> None:
        """Counts a new live run of `owner` (`agents/…`).

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        limits = await self._quotas.of(project)
        self._refreshed("runs", self._runs, RUNS_SECONDS, self._read_runs)
        counts, agent = self._runs.counts, owner.removeprefix(AGENTS)
        of_project = counts["live_runs", project]
        for name in ("live_runs", "inline_runs") if inline else ("live_runs",):
            of_agent = counts[name, project, owner]
            require(
                name,
                limits[name],
                of_agent=of_agent,
                of_project=of_project,
                added=1,
                agent=agent,
                project=project,
                retry_after=RETRY_SECONDS,
            )
        counts["live_runs", project] += 1
        counts["live_runs", project, owner] += 1
        if inline:
            counts["inline_runs", project, owner] += 1

    async def require_bytes(self, name: str, project: str, size: int) -> None:
        """Counts bytes that are added to the state or the pipelines (`state_bytes`, `pipeline_bytes`) of a project.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        limit = (await self._quotas.of(project))[name].project
        figures = self._stored(project)
        used = figures.counts[(name,)]
        if limit is not None and used + size > limit:
            raise exceeded(name, limit, used, f"projects/{project}")
        figures.counts[(name,)] += size

    async def figures(self, project: str, owner: str) -> dict[tuple[str, str], int]:
        """Returns what is used, by quota and `agent` or `project`; waits for outdated figures."""
        self._refreshed("runs", self._runs, RUNS_SECONDS, self._read_runs)
        self._stored(project)
        await asyncio.gather(*(asyncio.shield(reading) for reading in self._reading.values()))
        runs, stored = self._runs.counts, self._stored(project).counts
        return {
            ("live_runs", "agent"): runs["live_runs", project, owner],
            ("live_runs", "project"): runs["live_runs", project],
            ("inline_runs", "agent"): runs["inline_runs", project, owner],
            ("state_bytes", "project"): stored[("state_bytes",)],
            ("pipeline_bytes", "project"): stored[("pipeline_bytes",)],
        }

    def _stored(self, project: str) -> _Figures:
        figures = self._bytes.get(project)
        if figures is None:
            figures = self._bytes[project] = _Figures()
            if len(self._bytes) > PROJECTS_MAX:
                self._bytes.pop(next(iter(self._bytes)))

        async def read() -> None:
            async with self._database.connection() as connection:
                stored = await quota.stored_bytes(connection, project)
            figures.counts = Counter({("state_bytes",): stored.state, ("pipeline_bytes",): stored.pipelines})

        self._refreshed(f"bytes {project}", figures, BYTES_SECONDS, read)
        return figures

    def _refreshed(self, key: str, figures: _Figures, seconds: float, read: Callable[[], Awaitable[None]]) -> None:
        """Starts to read outdated figures. Callers do not wait for them: some of them hold a connection."""
        if time.monotonic() >= figures.read_at + seconds and key not in self._reading:
            self._reading[key] = asyncio.create_task(self._refresh(key, figures, read))

    async def _refresh(self, key: str, figures: _Figures, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
            figures.read_at = time.monotonic()
        except STORE_FAILURES as failure:
            log.warning("usage_not_read", figures=key, failure=str(failure))
        finally:
            self._reading.pop(key, None)

    async def _read_runs(self) -> None:
        async with self._database.connection() as connection:
            rows = await quota.live_runs(connection)
        counts: Counter[tuple[str, ...]] = Counter()
        for row in rows:
            counts["live_runs", row.project] += row.runs
            counts["live_runs", row.project, row.owner] = row.runs
            counts["inline_runs", row.project, row.owner] = row.inline
        self._runs.counts = counts
