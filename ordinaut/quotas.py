"""The quotas of a project and of each of its agents: names and defaults."""

from collections.abc import Mapping
from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest values for one agent and for the whole project; None: no limit."""

    agent: int | None
    project: int | None

    def overridden_by(self, other: "Limit | None") -> "Limit":
        """Returns the limits of `other`, with these in place of None."""
        if other is None:
            return self
        return Limit(
            self.agent if other.agent is None else other.agent,
            self.project if other.project is None else other.project,
        )


PER_SECOND = "_per_second"
"""The end of the names of rates. A rate may be exceeded for a short time, see BURST_SECONDS."""
BURST_SECONDS = 10.0
WATCHES_OF_A_TOKEN = 100

DEFAULTS: Mapping[str, Limit] = {
    "tasks": Limit(20_000, 200_000),
    "tools": Limit(500, 2_000),
    "agents": Limit(None, 1_000),
    "tokens": Limit(50, None),
    "watches": Limit(200, 1_000),
    "live_runs": Limit(20_000, 50_000),
    "inline_runs": Limit(2_000, None),
    "calls_per_second": Limit(500, 2_000),
    "events_per_second": Limit(200, 1_000),
    "state_writes_per_second": Limit(200, 1_000),
    "request_bytes_per_second": Limit(None, 1024**2),
    "state_bytes": Limit(None, GIB),
    "pipeline_bytes": Limit(None, GIB // 4),
}
