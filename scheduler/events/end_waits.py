"""Matches events against the open waits of runs, and ends those that match."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.expressions.event_condition import MAX_CONDITION_LENGTH, is_constant_match, matches_event
from ordinaut.store.database import DATA_ERRORS
from ordinaut.store.queue import wait
from ordinaut.store.queue.wait import OpenWait
from ordinaut.store.sql import Connection
from ordinaut.streams.event_stream import Entry
from ordinaut.telemetry import get_logger
from scheduler.conditions.allowance import Allowances
from scheduler.events.log_entry import row_of
from scheduler.events.logged_event import LoggedEvent, events_of
from scheduler.events.topics import TopicIndex
from scheduler.events.wait_window import Transactions, is_in_window, read_transactions
from scheduler.metrics import CONDITION_FAILED, MATCH_REFUSED

log = get_logger()
Key = tuple[UUID, str]
"""A run, and the path of its step."""
Result = tuple[UUID, str, str]
"""A run, the path of its step, the event as JSON."""


async def end_waits(
    connection: Connection, entries: Sequence[Entry], allowances: Allowances
) -> tuple[int, dict[int, list[Key]]]:
    """Ends the scanned waits that these events match, each by the first one.

    Returns:
        How many; and, by the position of a row, the waits whose conditions are to be evaluated on its events elsewhere.
    """
    projects = {entry.project for entry in entries}
    if not await wait.any_open(connection, list(projects)):
        return 0, {}
    events = [(row_of(entry), entry.position, list(events_of(entry))) for entry in entries]
    topics = {logged.body["topic"] for _, _, row_events in events for logged in row_events}
    waits = await wait.open_for(connection, list(projects), list(topics))
    transactions = await read_transactions(connection, map(row_of, entries), waits)
    matching = WaitMatching(waits, transactions, allowances)
    for row, position, row_events in events if waits else ():
        for logged in row_events:
            matching.add(row, position, logged)
        await asyncio.sleep(0)
    ended = await resolve(connection, list(matching.results.values()))
    await wait.note_failures(connection, matching.failures)
    return ended, {position: list(keys) for position, keys in matching.pending.items()}


class WaitMatching:
    """Matches events against waits, as far as the projects' allowances last."""

    def __init__(self, waits: Sequence[OpenWait], transactions: Transactions, allowances: Allowances) -> None:
        self.results: dict[Key, Result] = {}
        self.failures: dict[Key, str] = {}
        self.pending: dict[int, dict[Key, None]] = defaultdict(dict)
        self._transactions = transactions
        self._allowances = allowances
        self._by_project: dict[str, TopicIndex[OpenWait]] = defaultdict(TopicIndex)
        self._is_constant = {(each.run, each.path): is_constant_wait(each) for each in waits}
        for open_wait in waits:
            self._by_project[open_wait.project].add(open_wait.topic, open_wait)

    def add(self, row: int, first_position: int, logged: LoggedEvent) -> None:
        """Matches the next event; it belongs to the row of the log with that id and first position."""
        index = self._by_project.get(logged.project)
        subscribed = index[logged.body["topic"]] if index else ()
        value: Any = orjson.loads(logged.json()) if subscribed else None
        for open_wait in subscribed:
            key = open_wait.run, open_wait.path
            if key in self.results:
                continue
            with self._allowances.spend(logged.project) as allowed:
                if not allowed or not self._is_constant[key]:
                    self.pending[first_position][key] = None
                elif is_in_window(open_wait, logged, row, self._transactions) and is_match(
                    open_wait, value, self.failures
                ):
                    self.results[key] = (*key, logged.json().decode())


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


def is_constant_wait(open_wait: OpenWait) -> bool:
    """Whether the condition of a wait has a small cost for every event."""
    match = open_wait.match
    return match is None or (len(match) <= MAX_CONDITION_LENGTH and is_constant_match(orjson.loads(match)))


def is_match(open_wait: OpenWait, value: Mapping[str, Any], failures: dict[Key, str]) -> bool:
    """Whether an event of the wait's topic meets its condition.

    The reason why the condition cannot be evaluated is added to `failures`: any publisher can cause it, so that it does
    not end the wait.
    """
    if open_wait.match is None:
        return True
    try:
        return matches_event(orjson.loads(open_wait.match), value)
    except ExpressionError as failure:  # for this event; another one may match
        CONDITION_FAILED.inc()
        log.warning("wait_condition_failed", run=str(open_wait.run), failure=str(failure))
        failures.setdefault((open_wait.run, open_wait.path), str(failure)[:1000])
        return False
