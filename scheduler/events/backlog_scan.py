"""The backlog scan: an event that a run waits for may have been published before the wait was stored.

No event is lost between the scan and the matcher. Both lock the matcher's position row, so while the scan runs, the
position P does not change. The scan compares a committed wait with the log up to P, from the position at which the run
was created or from `since`, and marks it as scanned in the same transaction. The matcher takes only scanned waits; it
continues after P, and only when the scan has committed and released the row, so it reads the wait as scanned. Hence
every event is compared with the wait exactly once: those up to P by the scan, all later ones by the matcher. A wait
that is committed while the matcher is at work is not scanned yet, and the scan that follows covers the events which the
matcher took in that transaction, because P includes them.

The matcher waits for the scan. Therefore the scan compares a wait only with the first rows, and only if its condition
is constant; the rest is left to the evaluators, as an entry of `match_todo`.
"""

from dataclasses import dataclass

import orjson

from ordinaut.clock import EPOCH
from ordinaut.names import topic_matcher
from ordinaut.store import event, match_todo
from ordinaut.store.database import Database
from ordinaut.store.hints import JUDGE, RUN, WORK, Hints
from ordinaut.store.match_todo import NewTodo
from ordinaut.store.queue import wait
from ordinaut.store.queue.wait import OpenWait
from ordinaut.store.sql import Connection
from scheduler.conditions.allowance import Allowances
from scheduler.events.end_waits import Key, is_constant_wait, is_match, resolve
from scheduler.events.log_entry import first_bytes, stream_entry
from scheduler.events.logged_event import events_of
from scheduler.events.wait_window import is_in_window, read_transactions
from scheduler.metrics import WAITS_ENDED

WAITS = 50
ROWS = 20  # of up to a thousand events
BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Scan:
    """A wait that was compared with the log up to `position`; `event` is the one that matched, as JSON."""

    wait: OpenWait
    position: int
    event: str | None = None


class BacklogScan:
    """Scans the log for new waits."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Scans for the oldest waits; True when there may be more to scan."""
        may_have_more, ended = await self._database.repeat(_scan_batch)
        self._hints.send(JUDGE)
        if ended:
            WAITS_ENDED.labels("backlog_scan").inc(ended)
            self._hints.send(WORK, RUN)
        return may_have_more


async def _scan_batch(connection: Connection) -> tuple[bool, int]:
    if not await wait.unscanned(connection, 1):
        return False, 0
    until = await event.wait_for_matcher(connection)
    failures: dict[Key, str] = {}
    allowances = Allowances()
    scans = [
        await _scan(connection, open_wait, until, failures, allowances)
        for open_wait in await wait.unscanned(connection, WAITS)
    ]
    ended = await resolve(connection, [(scan.wait.run, scan.wait.path, scan.event) for scan in scans if scan.event])
    await wait.note_scans(connection, [scan.wait for scan in scans])
    await match_todo.add(
        connection, [_rest(scan, until) for scan in scans if scan.event is None and scan.position < until]
    )
    await wait.note_failures(connection, failures)
    return len(scans) == WAITS, ended


def _rest(scan: Scan, until: int) -> NewTodo:
    key = scan.wait.run, scan.wait.path
    return NewTodo(scan.wait.project, scan.position, until, triggers=[], waits=[key], event_time=EPOCH)


async def _scan(
    connection: Connection, open_wait: OpenWait, until: int, failures: dict[Key, str], allowances: Allowances
) -> Scan:
    """Compares the first part of the log with one wait, if that costs little."""
    after = await _start(connection, open_wait)
    if after >= until or not is_constant_wait(open_wait):
        return Scan(open_wait, after)
    page = await event.read(connection, project=open_wait.project, after=after, batch=ROWS)
    rows = first_bytes(page, BYTES)
    transactions = await read_transactions(connection, [row.id for row in rows], [open_wait])
    for number, logged in ((row.id, logged) for row in rows for logged in events_of(stream_entry(row))):
        if logged.position <= after:  # earlier in the same row
            continue
        if logged.position > until:
            return Scan(open_wait, until)
        with allowances.spend(open_wait.project) as allowed:
            if not allowed:
                return Scan(open_wait, after)
            if (
                topic_matcher(open_wait.topic)(logged.body["topic"])
                and is_in_window(open_wait, logged, number, transactions)
                and is_match(open_wait, orjson.loads(logged.json()), failures)
            ):
                return Scan(open_wait, logged.position, event=logged.json().decode())
        after = logged.position
    return Scan(open_wait, until if len(rows) == len(page) < ROWS else after)


async def _start(connection: Connection, open_wait: OpenWait) -> int:
    """The position after which the log is, or continues to be, compared with a wait."""
    if open_wait.since is None:
        return open_wait.log_position
    return await event.position_before(connection, open_wait.project, open_wait.since)
