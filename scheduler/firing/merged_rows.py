"""Collapsed rows of the ledger: instants in them get rows of their own, the others stay together."""

import asyncio
from collections.abc import Iterable, Sequence, Set
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.clock import TICK
from ordinaut.store import occurrence
from ordinaut.store.occurrence import Part
from ordinaut.store.sql import Connection
from scheduler.firing.missed_instants import Steps
from scheduler.firing.next_instant import occurrence_key
from scheduler.schedules.schedule import CompiledSchedule, Instant


async def split_around(connection: Connection, task: UUID, chosen: Sequence[datetime]) -> dict[datetime, str]:
    """Takes instants out of the collapsed rows that they stand in; the keys of those that did.

    The task's cursor is locked.
    """
    keys: dict[datetime, str] = {}
    wanted = frozenset(chosen)
    for row in await occurrence.collapsed(connection, task, min(wanted), max(wanted)):
        parts = await asyncio.to_thread(parts_of, row, wanted)
        if parts:
            await occurrence.split(connection, task, row["key"], parts)
            keys |= {part.first: part.key for part in parts if part.first in wanted}
    return keys


def parts_of(row: Any, chosen: Set[datetime]) -> list[Part]:
    """A collapsed row as several, so that each chosen instant stands alone; nothing when none of them is in it."""
    members = _members(row)
    if chosen.isdisjoint(member.time for member in members):
        return []
    generation = int(row["key"].partition("/")[0])
    parts = [_part(generation, group) for group in _groups(members, chosen)]
    first = parts[0]
    return [Part(row["key"], first.trigger, first.first, first.last, first.count), *parts[1:]]


def _members(row: Any) -> list[Instant]:
    """The instants that the row stands for, by the schedule that it was written under."""
    steps = Steps(CompiledSchedule.read(row["schedule"]), row["apart"])
    members = []
    instant, state = steps.next(row["instant"] - TICK)
    while instant is not None and instant.time <= row["last_instant"]:
        if instant.excluded == (row["outcome"] == "EXCLUDED"):
            members.append(instant)
        instant, state = steps.next(instant.time, state)
    return members


def _groups(members: Iterable[Instant], chosen: Set[datetime]) -> list[list[Instant]]:
    groups: list[list[Instant]] = []
    alone = True
    for member in members:
        if alone or member.time in chosen:
            groups.append([])
        groups[-1].append(member)
        alone = member.time in chosen
    return groups


def _part(generation: int, group: Sequence[Instant]) -> Part:
    first = group[0]
    return Part(occurrence_key(generation, first), first.trigger_id, first.time, group[-1].time, len(group))
