"""The quotas of a caller and its project as GetStatus reports them."""

from collections.abc import Mapping

from gateway.admission.door import Door
from gateway.authentication.caller import Caller
from ordinaut.quotas import PER_SECOND, Limit
from ordinaut.store import quota
from ordinaut.store.database import Database
from ordinaut.v1.system_service_pb2 import QuotaUsage


async def quota_usage(door: Door, database: Database, caller: Caller) -> list[QuotaUsage]:
    """Returns each limit of the caller and of its project, with what is used."""
    limits = await door.quotas.of(caller.project)
    async with database.connection() as connection:
        counts = await quota.counts(connection, project=caller.project, agent=caller.agent)
    used = await door.usage.figures(caller.project, caller.name)
    used |= {(name, "agent"): value for name, value in counts.agent.items()}
    used |= {(name, "project"): value for name, value in counts.project.items()}
    used |= {
        ("watches", "agent"): door.streams(caller.project, caller.agent),
        ("watches", "project"): door.streams(caller.project),
    }
    used |= _rates(door, limits, caller)
    return [
        QuotaUsage(quota=name, subject=subject, limit=value, used=used.get((name, kind), 0))
        for name, limit in limits.items()
        for kind, subject, value in (
            ("agent", caller.name, limit.agent),
            ("project", f"projects/{caller.project}", limit.project),
        )
        if value is not None
    ]


def _rates(door: Door, limits: Mapping[str, Limit], caller: Caller) -> dict[tuple[str, str], int]:
    used = {}
    for name, limit in limits.items():
        if name.endswith(PER_SECOND):
            if limit.agent is not None:
                used[name, "agent"] = door.rate(name, limit.agent, f"{caller.project}/{caller.name}")
            if limit.project is not None:
                used[name, "project"] = door.rate(name, limit.project, caller.project)
    return used
