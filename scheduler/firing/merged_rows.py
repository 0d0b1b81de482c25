"""Merged ledger rows: neighbouring instants with the same outcome and reason, stored as one row.

An outage of a year under a minutely schedule is half a million instants that did not run; as separate rows they would
cost more than all runs of the task. Catch-up and resume therefore merge them into one row with the first instant, the
last one and a count. Nothing is lost by that: the instants are computed again from the schedule version of the row, and
a row is split when a backfill runs one of its instants, which then needs a row that can name its run.
"""

import asyncio
from collections.abc import Iterable, Sequence, Set
from datetime import datetime
from uuid import UUID

from ordinaut.clock import TICK
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor, occurrence
from ordinaut.store.tasks.occurrence import MergedRow, Part
from scheduler.firing.missed_instants import MissedInstants, UnskippedInstants
from scheduler.firing.next_instant import occurrence_key
from scheduler.metrics import UNFIRED
from scheduler.schedules.schedule import CompiledSchedule, Instant


async def record(connection: Connection, project: str, task: UUID, generation: int, missed: MissedInstants) -> None:
    """Inserts the ledger rows of missed instants, one for each group."""
    columns = cursor.UnfiredColumns()
    for outcome, reason, instants in missed.groups:
        columns.keys.append(occurrence_key(generation, instants[0]))
        columns.triggers.append(instants[0].trigger_id)
        columns.instants.append(instants[0].time)
        columns.last_instants.append(instants[-1].time)
        columns.counts.append(len(instants))
        columns.outcomes.append(outcome)
        columns.reasons.append(reason)
        UNFIRED.labels(outcome).inc(len(instants))
    if columns.keys:
        await cursor.record_unfired(connection, project=project, task=task, unfired=columns)


async def split_around(connection: Connection, task: UUID, chosen: Sequence[datetime]) -> dict[datetime, str]:
    """Splits merged rows so that each of the instants has a separate row; returns the keys of those rows.

    Instants which no merged row contains are not in the result. The task's cursor must be locked.
    """
    keys: dict[datetime, str] = {}
    instants = frozenset(chosen)
    for row in await occurrence.merged(connection, task, min(instants), max(instants)):
        parts = await asyncio.to_thread(parts_of, row, instants)
        if parts:
            await occurrence.split(connection, task, row.key, parts)
            keys |= {part.first: part.key for part in parts if part.first in instants}
    return keys


def parts_of(row: MergedRow, chosen: Set[datetime]) -> list[Part]:
    """The parts of a merged row in which each chosen instant is alone; empty if the row contains none of them."""
    members = _members(row)
    if chosen.isdisjoint(member.time for member in members):
        return []
    generation = int(row.key.partition("/")[0])
    parts = [_part(generation, group) for group in _groups(members, chosen)]
    first = parts[0]
    return [Part(row.key, first.trigger, first.first, first.last, first.count), *parts[1:]]


def _members(row: MergedRow) -> list[Instant]:
    """The instants of the row, by the schedule under which it was written."""
    instants = UnskippedInstants(CompiledSchedule.read(row.schedule), row.separate)
    members = []
    instant, state = instants.next(row.instant - TICK)
    while instant is not None and instant.time <= row.last_instant:
        if instant.excluded == (row.outcome == "EXCLUDED"):
            members.append(instant)
        instant, state = instants.next(instant.time, state)
    return members


def _groups(members: Iterable[Instant], chosen: Set[datetime]) -> list[list[Instant]]:
    groups: list[list[Instant]] = []
    is_closed = True
    for member in members:
        if is_closed or member.time in chosen:
            groups.append([])
        groups[-1].append(member)
        is_closed = member.time in chosen
    return groups


def _part(generation: int, group: Sequence[Instant]) -> Part:
    first = group[0]
    return Part(occurrence_key(generation, first), first.trigger_id, first.time, group[-1].time, len(group))
