"""Catch-up: instants that passed while nothing could fire them are accounted for, one cursor at a time."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from ordinaut.store import cursor
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from scheduler import next_instant
from scheduler.metrics import ENQUEUED, UNFIRED
from scheduler.schedule import CompiledSchedule, Instant

log = get_logger()
INSTANTS_PER_TRANSACTION = 1000
DEFAULT_WINDOW = timedelta(hours=1)


@dataclass(slots=True)
class Passed:
    """Instants that will not run, in order, with the outcome and reason of each neighbourhood.

    `all_seen`: there are no more of them; else the limit of one transaction ended the search.
    """

    last_instant: datetime
    state: dict[str, Any]
    generation: int = 0
    groups: list[tuple[str, str, list[Instant]]] = field(default_factory=list)
    latest: Instant | None = None
    latest_state: dict[str, Any] = field(default_factory=dict)
    all_seen: bool = True

    @property
    def count(self) -> int:
        """How many instants passed without a run."""
        return sum(len(instants) for _, _, instants in self.groups)

    def add(self, outcome: str, reason: str, instant: Instant, state: dict[str, Any]) -> None:
        """Accounts for one instant."""
        if not self.groups or self.groups[-1][:2] != (outcome, reason):
            self.groups.append((outcome, reason, []))
        self.groups[-1][2].append(instant)
        self.last_instant = instant.time
        self.state = state


class CatchUp:
    """Runs the newest missed instant of a late cursor and records the others."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def turn(self) -> bool:
        """Moves one late cursor; True when there was one."""
        async with self._database.transaction() as connection:
            row = await cursor.late(connection)
            if row is None:
                return False
            schedule = CompiledSchedule.compile(json.loads(row["schedule"]))
            missed = await asyncio.to_thread(latest_of_missed, schedule, row)
            await record(connection, row, missed)
            if missed.latest is None:
                await cursor.move(
                    connection,
                    task=row["task"],
                    last_instant=missed.last_instant,
                    trigger_state=json.dumps(missed.state),
                    paused_until=None,
                )
                return True
            columns = cursor.PlanColumns()
            next_instant.add(columns, row["task"], row["generation"], schedule, missed.latest, missed.latest_state)
            await cursor.plan(connection, columns)
            fired = await cursor.fire_one(connection, row["task"])
        ENQUEUED.labels("catch_up").inc(fired.enqueued)
        log.info("caught_up", task=str(row["task"]), coalesced=missed.count)
        self._hints.send(WORK, OUTBOX)
        return True


def latest_of_missed(schedule: CompiledSchedule, row: Any) -> Passed:
    """LATEST: an instant whose successor has passed too is COALESCED; the newest runs when it is inside the window."""
    now = row["now"]
    missed = Passed(row["last_instant"], json.loads(row["trigger_state"] or "{}"), row["generation"])
    instant, state = schedule.next(row["last_instant"], None)
    while instant is not None and instant.time <= now:
        following, following_state = schedule.next(instant.time, state)
        if following is None or following.time > now:
            _newest(missed, schedule, row, instant, state)
            return missed
        missed.add("COALESCED", "a later one had passed as well", instant, state)
        if missed.count >= INSTANTS_PER_TRANSACTION:
            missed.all_seen = False
            return missed
        instant, state = following, following_state
    return missed


def passed_while_paused(
    schedule: CompiledSchedule, after: datetime, state: dict[str, Any] | None, until: datetime
) -> Passed:
    """The instants of a pause, up to the limit of one transaction."""
    passed = Passed(after, state or {})
    instant, state = schedule.next(after, state)
    while instant is not None and instant.time <= until:
        if passed.count >= INSTANTS_PER_TRANSACTION:
            passed.all_seen = False
            return passed
        passed.add("PAUSED", "the task was paused", instant, state)
        instant, state = schedule.next(instant.time, state)
    return passed


async def record(connection: Connection, row: Any, passed: Passed) -> None:
    """Writes the ledger rows: neighbours with one outcome and reason stand in one."""
    columns = cursor.UnfiredColumns()
    for outcome, reason, instants in passed.groups:
        columns.keys.append(next_instant.occurrence_key(row["generation"], instants[0]))
        columns.triggers.append(instants[0].trigger_id)
        columns.instants.append(instants[0].time)
        columns.last_instants.append(instants[-1].time)
        columns.counts.append(len(instants))
        columns.outcomes.append(outcome)
        columns.reasons.append(reason)
        UNFIRED.labels(outcome).inc(len(instants))
    if columns.keys:
        await cursor.record_unfired(connection, project=row["project"], task=row["task"], unfired=columns)


def _newest(missed: Passed, schedule: CompiledSchedule, row: Any, instant: Instant, state: dict[str, Any]) -> None:
    window = _window(json.loads(row["schedule"]), instant)
    if window is not None and row["now"] - instant.time > window:
        missed.add("MISSED", f"more than {window} late", instant, state)
    else:
        missed.latest, missed.latest_state = instant, state


def _window(schedule: dict[str, Any], instant: Instant) -> timedelta | None:
    """How late the newest may run; None: however late, for a single time."""
    if text := schedule.get("catch_up", {}).get("window"):
        duration = Duration()
        duration.FromJsonString(text)
        return duration.ToTimedelta()
    return None if instant.key_nominal.startswith("once:") else DEFAULT_WINDOW
