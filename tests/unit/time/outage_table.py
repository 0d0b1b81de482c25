"""The table of `docs/time.md`: what each catch-up policy makes of an hour in which no scheduler lives.

`python -m tests.unit.time.outage_table` prints it. That real schedulers do the same is an integration test.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from scheduler.firing.catch_up_policy import CatchUpPolicy
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.simulation.entry import Entry
from scheduler.simulation.scenario import Rules, Scenario, Span
from scheduler.simulation.simulation import Simulation

BEGIN = datetime(2026, 3, 2, 12, 40, tzinfo=UTC)
END = datetime(2026, 3, 2, 14, 20, tzinfo=UTC)
OUTAGE = Span(datetime(2026, 3, 2, 12, 55, tzinfo=UTC), datetime(2026, 3, 2, 13, 55, tzinfo=UTC))
DURATION = timedelta(minutes=4)
POLICIES: Mapping[str, Mapping[str, Any]] = {
    "`LATEST`": {},
    "`LATEST`, `window: 3m`": {"window": "180s"},
    "`ALL`": {"policy": "ALL"},
    "`ALL`, `max: 2`": {"policy": "ALL", "max": 2},
    "`NONE`": {"policy": "NONE"},
}


def schedule(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Every ten minutes."""
    return {
        "triggers": [{"id": "t0", "cron": "*/10 * * * *"}],
        "time_zone": "UTC",
        "start_time": BEGIN.isoformat(),
        "catch_up": dict(policy),
    }


def scenario(policy: Mapping[str, Any], task: UUID) -> Scenario:
    """A task whose runs take four minutes, through the outage."""
    document = schedule(policy)
    return Scenario(
        schedule=CompiledSchedule.compile(document),
        task=task,
        window=Span(BEGIN, END),
        catch_up=CatchUpPolicy.of(document),
        rules=Rules(),
        durations=[DURATION],
        outages=[OUTAGE],
    )


def table() -> str:
    """In Markdown: a line for each due moment, a column for each policy."""
    ledgers = [list(Simulation(scenario(policy, UUID(int=1))).entries()) for policy in POLICIES.values()]
    lines = [f"| due | {' | '.join(POLICIES)} |", "|---" * (len(POLICIES) + 1) + "|"]
    due = BEGIN
    while due < END:
        cells = [next(_told(entry) for entry in ledger if entry.first.time <= due <= entry.last) for ledger in ledgers]
        lines.append(f"| {due:%H:%M} | {' | '.join(cells)} |")
        due += timedelta(minutes=10)
    return "\n".join(lines)


def _told(entry: Entry) -> str:
    return f"{entry.outcome}, {entry.run.start:%H:%M} to {entry.run.end:%H:%M}" if entry.run else entry.outcome


if __name__ == "__main__":
    print(table())
