"""Turns: where runs of a task may not overlap, those that wait become live one after the other."""

import asyncio
import time

from ordinaut.store import overlap
from ordinaut.store.database import DATA_ERRORS, Database
from ordinaut.store.hints import CANCEL, OUTBOX, RUN, TURN, WORK, Hints
from ordinaut.telemetry import get_logger
from scheduler.metrics import OVERTAKEN, TURNS

log = get_logger()
BATCH = 500
LOOK_SECONDS = 0.2  # the ends of runs are of no interest for so long after nobody was seen waiting
SHARE = 4  # where many wait, a look costs: it is followed by a rest that is so many times as long


class Turns:
    """Gives turns. Runs end all the time: what hints of that may cost is bounded, most of all when nobody waits."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._somebody_waits = hints.subscribe(TURN)
        self._rest_until = 0.0
        self._lines = 0

    async def turn(self) -> bool:
        """One batch; True when there may be more to do at once."""
        rest = self._rest_until - time.monotonic()
        if rest > 0 and not self._lines and not self._somebody_waits.is_set():
            return False
        if rest > 0 and self._lines:
            await asyncio.sleep(rest)
        self._somebody_waits.clear()
        begun = time.monotonic()
        try:
            turns = await self._database.repeat(
                lambda connection: overlap.give_turns(connection, BATCH), one_statement=True
            )
        except DATA_ERRORS as failure:  # a run that need not wait was faster: the next look sees it
            log.info("blocked_release_conflict", failure=str(failure))
            return True
        self._lines, now = turns.lines, time.monotonic()
        self._rest_until = now + (min(SHARE * (now - begun), LOOK_SECONDS) if turns.lines else LOOK_SECONDS)
        if turns.given:
            TURNS.inc(turns.given)
            self._hints.send(WORK)
        return turns.given >= BATCH or (turns.superseding and await self._cancel_overtaken())

    async def _cancel_overtaken(self) -> bool:
        """True when places have become free."""
        found = await self._database.repeat(lambda connection: overlap.cancel_overtaken(connection, BATCH))
        if found.ended or found.requested:
            OVERTAKEN.inc(found.ended + found.requested)
            self._hints.send(RUN, CANCEL, OUTBOX)
        return found.ended > 0
