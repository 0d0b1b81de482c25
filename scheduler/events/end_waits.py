"""Events against waits: which run waits for what has happened."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.names import topic_matcher
from ordinaut.store import wait
from ordinaut.store.database import DATA_ERRORS
from ordinaut.store.sql import Connection, Record
from ordinaut.streams.event_stream import Entry
from ordinaut.telemetry import get_logger
from scheduler.events.match import events_of
from scheduler.metrics import CONDITION_FAILED, MATCH_REFUSED

log = get_logger()
Result = tuple[UUID, str, str]
"""A run, the path of its step, the event as JSON."""


async def end_waits(connection: Connection, entries: Sequence[Entry]) -> int:
    """Ends the waits that were known before these events, each by the first that fits; returns how many."""
    projects = {entry.project for entry in entries}
    if not await wait.any_open(connection, list(projects)):
        return 0
    events = [numbered for entry in entries for numbered in events_of(entry)]
    open_of: dict[str, list[Record]] = defaultdict(list)
    for one in await wait.open_for(connection, list(projects), list({event.body["topic"] for event in events})):
        open_of[one["project"]].append(one)
    results: dict[tuple[UUID, str], Result] = {}
    for numbered in events if open_of else ():
        document = numbered.json()
        for one in open_of[numbered.project]:
            place = one["run"], one["path"]
            if place not in results and fits(one, numbered.body["topic"], numbered.time, document):
                results[place] = (*place, document.decode())
    return await resolve(connection, list(results.values()))


async def resolve(connection: Connection, results: Sequence[Result]) -> int:
    """Stores results; what PostgreSQL refuses is halved, and what is guilty alone is left out."""
    try:
        async with connection.transaction():
            return await wait.resolve(connection, results)
    except DATA_ERRORS as failure:
        if len(results) == 1:
            MATCH_REFUSED.inc()
            log.error("wait_result_rejected", run=str(results[0][0]), failure=str(failure))
            return 0
    middle = len(results) // 2
    return await resolve(connection, results[:middle]) + await resolve(connection, results[middle:])


def fits(one: Record, topic: str, time: datetime, document: bytes) -> bool:
    """Whether an event, `document` as JSON, came in time for a wait and is what it waits for."""
    if not topic_matcher(one["topic"])(topic):
        return False
    if (one["since"] and time < one["since"]) or (one["deadline"] and time > one["deadline"]):
        return False
    if one["match"] is None:
        return True
    try:
        return _matches(orjson.loads(one["match"]), orjson.loads(document))
    except ExpressionError as failure:  # of this event: another one may fit
        CONDITION_FAILED.inc()
        log.warning("wait_condition_failed", run=str(one["run"]), failure=str(failure))
        return False


def _matches(match: str | dict[str, Any], event: dict[str, Any]) -> bool:
    if isinstance(match, str):
        return compile_expression(match).holds(event)
    return all(_equal(compile_expression(path).evaluate(event), wanted) for path, wanted in match.items())


def _equal(found: Any, wanted: Any) -> bool:
    """As JSON is equal: true is not 1."""
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)
