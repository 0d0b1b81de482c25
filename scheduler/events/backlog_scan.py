"""Look-back: what a run waits for may have happened before the wait was known.

Only committed waits are looked at, and only while no event is being matched: events up to the matcher's position are
held against the wait here, all later ones by the matcher, which then knows the wait. Nothing lies between.
"""

from dataclasses import dataclass

from ordinaut.store import event, wait
from ordinaut.store.database import Database
from ordinaut.store.hints import RUN, WORK, Hints
from ordinaut.store.sql import Connection, Record
from scheduler.events.end_waits import fits, resolve
from scheduler.events.log_entry import entry_of
from scheduler.events.match import events_of
from scheduler.metrics import WAITS_ENDED

WAITS = 50
ROWS = 100  # of up to a thousand events


@dataclass(frozen=True, slots=True)
class Seen:
    """How far the log was held against a wait: up to `position`; `done` says whether that is all; an event as JSON."""

    position: int
    done: bool
    found: str | None = None


class LookBack:
    """Holds new waits against the log, each over at most `ROWS` rows of it a turn."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def turn(self) -> bool:
        """Looks at the oldest waits; True when there may be more to look at."""
        more, ended = await self._database.repeat(_look)
        if ended:
            WAITS_ENDED.labels("backlog_scan").inc(ended)
            self._hints.send(WORK, RUN)
        return more


async def _look(connection: Connection) -> tuple[bool, int]:
    if not await wait.unscanned(connection, 1):
        return False, 0
    upto = await event.wait_for_matcher(connection)
    seen = [(one, await _scan(connection, one, upto)) for one in await wait.unscanned(connection, WAITS)]
    ended = await resolve(connection, [(one["run"], one["path"], what.found) for one, what in seen if what.found])
    await wait.note_scans(connection, [(one["run"], one["path"], what.position, what.done) for one, what in seen])
    return len(seen) == WAITS or not all(what.done for _, what in seen), ended


async def _scan(connection: Connection, one: Record, upto: int) -> Seen:
    """Holds the next part of the log against one wait."""
    after = one["scan_position"]
    if after is None:
        after = await event.position_before(connection, one["project"], one["since"])
    rows = await event.read(connection, project=one["project"], after=after, batch=ROWS)
    for numbered in (numbered for row in rows for numbered in events_of(entry_of(row))):
        if numbered.position <= after:  # it stands before, in the same row
            continue
        if numbered.position > upto:
            return Seen(upto, done=True)
        after = numbered.position
        document = numbered.json()
        if fits(one, numbered.body["topic"], numbered.time, document):
            return Seen(after, done=True, found=document.decode())
    return Seen(after, done=len(rows) < ROWS)
