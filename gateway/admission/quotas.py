"""The quotas of a project, and the errors of those that are exceeded."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ordinaut.errors import ResourceExhaustedError
from ordinaut.quotas import DEFAULTS, PER_SECOND, Limit
from ordinaut.store import quota
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason

REFRESH_SECONDS = 5.0
MARGIN = 1000
"""Below the limit by more than this, concurrent transactions need not wait for each other's count."""
Limits = Mapping[str, Limit]


@dataclass(frozen=True, slots=True)
class _Loaded:
    limits: Limits
    until: float


class Quotas:
    """The limits of each project; a change takes effect within five seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loaded: dict[str, _Loaded] = {}

    async def of(self, project: str) -> Limits:
        """Returns the limits of a project by the name of the quota."""
        loaded = self._loaded.get(project)
        if loaded is None or loaded.until < time.monotonic():
            async with self._database.connection() as connection:
                overrides = await quota.overrides(connection, project)
            limits = {name: default.overridden_by(overrides.get(name)) for name, default in DEFAULTS.items()}
            loaded = self._loaded[project] = _Loaded(limits, time.monotonic() + REFRESH_SECONDS)
        return loaded.limits

    def known(self, project: str) -> Limits:
        """Returns the limits as the guard of the current call has read them, without another connection."""
        loaded = self._loaded.get(project)
        return loaded.limits if loaded else DEFAULTS

    async def require_room(
        self, connection: Connection, name: str, *, project: str, agent: str, added: int = 1
    ) -> None:
        """Requires that the transaction of `connection` may add as many of a kind (tasks, tools, agents, tokens).

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        limit = self.known(project)[name]
        used = await quota.count(connection, name, project=project, agent=agent)
        if _is_near(limit.agent, used[0] + added) or _is_near(limit.project, used[1] + added):
            await quota.lock(connection, project)
            used = await quota.count(connection, name, project=project, agent=agent)
        require(name, limit, of_agent=used[0], of_project=used[1], added=added, agent=agent, project=project)


def require(
    name: str,
    limit: Limit,
    *,
    of_agent: int,
    of_project: int,
    added: int,
    agent: str,
    project: str,
    retry_after: float | None = None,
) -> None:
    """Requires that an agent and its project may have `added` more; `retry_after` as in `exceeded`.

    Raises:
        ResourceExhaustedError: QUOTA_EXCEEDED.
    """
    if limit.agent is not None and of_agent + added > limit.agent:
        raise exceeded(name, limit.agent, of_agent, f"agents/{agent}", retry_after=retry_after)
    if limit.project is not None and of_project + added > limit.project:
        raise exceeded(name, limit.project, of_project, f"projects/{project}", retry_after=retry_after)


def exceeded(
    name: str, limit: int, used: int, subject: str, *, retry_after: float | None = None
) -> ResourceExhaustedError:
    """The error of a quota that a request would exceed; `retry_after` (seconds) for those that recover by waiting."""
    noun = name.removesuffix(PER_SECOND).replace("_", " ") + (" per second" if name.endswith(PER_SECOND) else "")
    return ResourceExhaustedError(
        ErrorReason.QUOTA_EXCEEDED,
        f"{subject} may have at most {limit} {noun} (has {used})",
        {"quota": name, "limit": limit, "used": used, "subject": subject},
        retry_after=retry_after,
    )


def _is_near(limit: int | None, wanted: int) -> bool:
    return limit is not None and wanted + MARGIN > limit
