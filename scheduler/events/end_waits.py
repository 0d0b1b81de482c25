"""Matches events against the open waits of runs, and ends those that match."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.names import topic_matcher
from ordinaut.store.database import DATA_ERRORS
from ordinaut.store.queue import wait
from ordinaut.store.queue.wait import OpenWait
from ordinaut.store.sql import Connection
from ordinaut.streams.event_stream import Entry
from ordinaut.telemetry import get_logger
from scheduler.events.log_entry import row_of
from scheduler.events.match import events_of
from scheduler.events.wait_window import is_in_window, read_transactions
from scheduler.metrics import CONDITION_FAILED, MATCH_REFUSED

log = get_logger()
Result = tuple[UUID, str, str]
"""A run, the path of its step, the event as JSON."""


async def end_waits(connection: Connection, entries: Sequence[Entry]) -> int:
    """Ends the scanned waits that these events match, each by the first one; returns how many."""
    projects = {entry.project for entry in entries}
    if not await wait.any_open(connection, list(projects)):
        return 0
    events = [(row_of(entry), logged) for entry in entries for logged in events_of(entry)]
    topics = {logged.body["topic"] for _, logged in events}
    waits = await wait.open_for(connection, list(projects), list(topics))
    by_project: dict[str, list[OpenWait]] = defaultdict(list)
    for open_wait in waits:
        by_project[open_wait.project].append(open_wait)
    transactions = await read_transactions(connection, map(row_of, entries), waits)
    results: dict[tuple[UUID, str], Result] = {}
    for row, logged in events if by_project else ():
        document = logged.json()
        for open_wait in by_project[logged.project]:
            key = open_wait.run, open_wait.path
            if (
                key not in results
                and is_in_window(open_wait, logged, row, transactions)
                and is_match(open_wait, logged.body["topic"], document)
            ):
                results[key] = (*key, document.decode())
    return await resolve(connection, list(results.values()))


async def resolve(connection: Connection, results: Sequence[Result]) -> int:
    """Stores results; a batch that PostgreSQL rejects is bisected, and a single rejected result is left out."""
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


def is_match(open_wait: OpenWait, topic: str, document: bytes) -> bool:
    """Whether an event (`document` as JSON) has the topic of the wait and meets its condition."""
    if not topic_matcher(open_wait.topic)(topic):
        return False
    if open_wait.match is None:
        return True
    try:
        return _matches(orjson.loads(open_wait.match), orjson.loads(document))
    except ExpressionError as failure:  # for this event; another one may match
        CONDITION_FAILED.inc()
        log.warning("wait_condition_failed", run=str(open_wait.run), failure=str(failure))
        return False


def _matches(match: str | dict[str, Any], event: dict[str, Any]) -> bool:
    if isinstance(match, str):
        return compile_expression(match).holds(event)
    return all(_equal(compile_expression(path).evaluate(event), expected) for path, expected in match.items())


def _equal(value: Any, expected: Any) -> bool:
    """Equality of JSON values, in which true is not 1."""
    return isinstance(value, bool) == isinstance(expected, bool) and bool(value == expected)
