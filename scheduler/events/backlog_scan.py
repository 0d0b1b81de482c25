"""The backlog scan: an event that a run waits for may have been published before the wait was stored.

No event is lost between the scan and the matcher. Both lock the matcher's position row, so while the scan runs, the
position P does not change. The scan compares a committed wait with the log up to P, from the position at which the run
was created or from `since`, and marks it as scanned in the same transaction. The matcher takes only scanned waits; it
continues after P, and only when the scan has committed and released the row, so it reads the wait as scanned. Hence
every event is compared with the wait exactly once: those up to P by the scan, all later ones by the matcher. A wait
that is committed while the matcher is at work is not scanned yet, and the scan that follows covers the events which the
matcher took in that transaction, because P includes them.
"""

from dataclasses import dataclass

from ordinaut.store import event
from ordinaut.store.database import Database
from ordinaut.store.hints import RUN, WORK, Hints
from ordinaut.store.queue import wait
from ordinaut.store.queue.wait import OpenWait
from ordinaut.store.sql import Connection
from scheduler.events.end_waits import is_match, resolve
from scheduler.events.log_entry import stream_entry
from scheduler.events.match import events_of
from scheduler.events.wait_window import is_in_window, read_transactions
from scheduler.metrics import WAITS_ENDED

WAITS = 50
ROWS = 100  # of up to a thousand events


@dataclass(frozen=True, slots=True)
class Scan:
    """A wait that was compared with the log up to `position`; `event` is the one that matched, as JSON."""

    wait: OpenWait
    position: int
    complete: bool
    event: str | None = None


class BacklogScan:
    """Scans the log for new waits, each over at most `ROWS` rows per run of the loop."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Scans for the oldest waits; True when there may be more to scan."""
        may_have_more, ended = await self._database.repeat(_scan_batch)
        if ended:
            WAITS_ENDED.labels("backlog_scan").inc(ended)
            self._hints.send(WORK, RUN)
        return may_have_more


async def _scan_batch(connection: Connection) -> tuple[bool, int]:
    if not await wait.unscanned(connection, 1):
        return False, 0
    until = await event.wait_for_matcher(connection)
    scans = [await _scan(connection, open_wait, until) for open_wait in await wait.unscanned(connection, WAITS)]
    ended = await resolve(connection, [(scan.wait.run, scan.wait.path, scan.event) for scan in scans if scan.event])
    await wait.note_scans(connection, [(scan.wait.run, scan.wait.path, scan.position, scan.complete) for scan in scans])
    return len(scans) == WAITS or not all(scan.complete for scan in scans), ended


async def _scan(connection: Connection, open_wait: OpenWait, until: int) -> Scan:
    """Compares the next part of the log with one wait."""
    after = await _start(connection, open_wait)
    rows = await event.read(connection, project=open_wait.project, after=after, batch=ROWS)
    transactions = await read_transactions(connection, [row.id for row in rows], [open_wait])
    for number, logged in ((row.id, logged) for row in rows for logged in events_of(stream_entry(row))):
        if logged.position <= after:  # earlier in the same row
            continue
        if logged.position > until:
            return Scan(open_wait, until, complete=True)
        after = logged.position
        document = logged.json()
        if is_in_window(open_wait, logged, number, transactions) and is_match(
            open_wait, logged.body["topic"], document
        ):
            return Scan(open_wait, after, complete=True, event=document.decode())
    return Scan(open_wait, after, complete=len(rows) < ROWS)


async def _start(connection: Connection, open_wait: OpenWait) -> int:
    """The position after which the log is, or continues to be, compared with a wait."""
    if open_wait.scan_position is not None:
        return open_wait.scan_position
    if open_wait.since is None:
        return open_wait.log_position
    return await event.position_before(connection, open_wait.project, open_wait.since)
