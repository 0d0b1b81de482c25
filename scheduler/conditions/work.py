"""Conditions to evaluate in a child process, and the answer: both are JSON on the pipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from ordinaut.clock import EPOCH, TICK
from ordinaut.store.event import EventTrigger, LogEntry
from ordinaut.store.queue.wait import OpenWait


@dataclass(frozen=True, slots=True)
class Work:
    """The conditions of `triggers` and then of `waits`, to be evaluated on the events after `after` of some rows.

    The positions of the events are in the `ranges` (after, until].

    None stands for a trigger or wait that no longer takes events. These are conditions of an entry from the place
    `first` on. Those before the place `next` are evaluated on the first event already. `total`: all conditions of the
    entry; if these are more, the work ends with the last one on the first event. It also ends after `seconds` of CPU
    time, but not before one condition is evaluated, or after `most` conditions.
    """

    rows: Sequence[LogEntry]
    after: int
    ranges: Sequence[tuple[int, int]]
    first: int
    next: int
    total: int
    triggers: Sequence[EventTrigger | None]
    waits: Sequence[OpenWait | None]
    transactions: Mapping[int, int]
    seconds: float
    most: int | None = None

    def json(self) -> bytes:
        """The work as JSON."""
        return orjson.dumps(
            {
                "rows": [
                    (row.id, row.project, row.position, (row.create_time - EPOCH) // TICK, orjson.Fragment(row.events))
                    for row in self.rows
                ],
                "after": self.after,
                "ranges": self.ranges,
                "first": self.first,
                "next": self.next,
                "total": self.total,
                "triggers": self.triggers,
                "waits": [wait and _wait_fields(wait) for wait in self.waits],
                "transactions": list(self.transactions.items()),
                "seconds": self.seconds,
                "most": self.most,
            },
            default=str,  # the UUIDs of asyncpg
        )


@dataclass(slots=True)
class Found:
    """A trigger (by id) or a wait (by its place) whose condition is met by an event.

    `body` has the uid, the topic and the depth of the event; `event` is its place among the documents of the answer.
    """

    condition: int
    position: int
    body: dict[str, Any]
    event: int


@dataclass(slots=True)
class Answer:
    """Up to where the conditions are evaluated (`complete`: on all events), and what was found.

    `events` are the documents of those found, as JSON text. By trigger id: `failures`, the first reason why a condition
    could not be evaluated; `exhaustions` of fuel in a row; `over`, the position at which these were too many; `seconds`
    of CPU time. By place of the wait in the work: `wait_failures`. `total_seconds` includes reading the events.
    """

    after: int
    next: int
    complete: bool = False
    matches: list[Found] = field(default_factory=list)
    results: list[Found] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)
    wait_failures: dict[int, str] = field(default_factory=dict)
    exhaustions: dict[int, int] = field(default_factory=dict)
    over: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    total_seconds: float = 0.0

    def json(self) -> bytes:
        """The answer as JSON."""
        return orjson.dumps(self, option=orjson.OPT_NON_STR_KEYS)


def read_answer(text: bytes) -> Answer:
    """The answer of JSON text."""
    fields = orjson.loads(text)
    for name in ("failures", "wait_failures", "exhaustions", "over", "seconds"):
        fields[name] = {int(key): value for key, value in fields[name].items()}
    for name in ("matches", "results"):
        fields[name] = [Found(**found) for found in fields[name]]
    return Answer(**fields)


def read_trigger(fields: Mapping[str, Any] | None) -> EventTrigger | None:
    """A trigger of the work."""
    return None if fields is None else EventTrigger(**{**fields, "task": UUID(fields["task"])})


def read_wait(fields: Mapping[str, Any] | None) -> OpenWait | None:
    """A wait of the work."""
    if fields is None:
        return None
    times = {name: fields[name] and datetime.fromisoformat(fields[name]) for name in ("since", "deadline")}
    return OpenWait(**{**fields, **times, "run": UUID(fields["run"]), "taken": frozenset(fields["taken"])})


def _wait_fields(wait: OpenWait) -> dict[str, Any]:
    fields = {name: getattr(wait, name) for name in OpenWait.__dataclass_fields__}
    return {**fields, "taken": list(wait.taken)}
