"""What a simulated run waits for, and when each of it is over: a mock, the record, or the deadline tells."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.journal import FAILED, SUCCEEDED, WAITING
from pipeline_engine.interpreter.requests import Output
from pipeline_engine.simulation import outcomes
from pipeline_engine.simulation.clock import LAST_US
from pipeline_engine.simulation.mocks import Mocks
from pipeline_engine.simulation.outcomes import TIMER, Outcome
from pipeline_engine.simulation.record import Record, lasted_us

NEVER = 2**62


@dataclass(slots=True)
class OpenWait:
    """A wait with its deadline as a moment, as it is recorded, and what will end it when; NEVER: nothing will."""

    wish: Wait
    entry: JournalEntry
    end_us: int
    outcome: Outcome | None


class Waits:
    """The open waits of one simulated run, and those that are over and not in its journal yet."""

    def __init__(self, mocks: Mocks, record: Record, *, follow: bool) -> None:
        self._mocks = mocks
        self._record = record
        self._follow = follow
        self._waits: dict[str, OpenWait] = {}

    def ask(self, wishes: Iterable[Wait], now_us: int) -> None:
        """Keeps what is named, all of it; what is named for the first time begins now."""
        known, self._waits = self._waits, {}
        for wish in wishes:
            self._waits[wish.path] = known[wish.path] if wish.path in known else self._begun(wish, now_us)

    def next_us(self) -> int:
        """When the next one is over; NEVER when none will be."""
        return min((wait.end_us for wait in self._waits.values()), default=NEVER)

    def end(self, now_us: int) -> None:
        """Ends those whose time has come."""
        for wait in self._waits.values():
            if wait.end_us <= now_us and wait.outcome is not None:
                _complete(wait.entry, wait.outcome, wait.end_us)

    def entries(self) -> list[JournalEntry]:
        """As a run is told of them when it goes on."""
        return [wait.entry for wait in self._waits.values()]

    def open(self) -> list[OpenWait]:
        """Those that nothing has ended."""
        return [wait for wait in self._waits.values() if wait.entry.state == WAITING]

    def _begun(self, wish: Wait, now_us: int) -> OpenWait:
        entry = JournalEntry(
            path=wish.path, attempt=1, state=WAITING, tool=wish.tool, input=wish.input, start_us=now_us, end_us=now_us
        )
        deadline_us = _deadline_us(wish, now_us)
        end_us, outcome = self._mocked(wish, now_us) or self._recorded(wish, now_us) or (NEVER, None)
        if end_us > deadline_us and not self._past(wish, outcome):
            end_us, outcome = max(deadline_us, now_us), outcomes.expired(wish, deadline_us)
        return OpenWait(_dated(wish, deadline_us), entry, end_us, outcome)

    def _past(self, wish: Wait, outcome: Outcome | None) -> bool:
        """Whether the record alone knows when the wait was over, if it ever was: not for a timer that it has not."""
        known = outcome is not None or wish.kind != TIMER or self._record.was_cut_off(wish.path, 1)
        return self._follow and known

    def _mocked(self, wish: Wait, now_us: int) -> tuple[int, Outcome] | None:
        given = None if wish.kind == TIMER else self._mocks.take(wish.path, wish.tool, 1)
        if given is None:
            return None
        end_us = now_us + (given.duration_us or 0)
        if given.failure is not None:
            return end_us, given.failure.at(wish.path, wish.tool, 1)
        return (end_us, outcomes.given(wish, given.output[0], end_us)) if given.output else None

    def _recorded(self, wish: Wait, now_us: int) -> tuple[int, Outcome] | None:
        """The recorded result; with `follow` it was seen when the run went on, which is what `now` was then.

        A timer at another time has another result.
        """
        verdict = self._record.verdict(wish.path)
        if verdict is not None and self._follow:
            return verdict[0], Output(verdict[1])
        found = self._record.answered(wish.path, 1)
        if found is None or (wish.kind == TIMER and not self._follow):
            return None
        end_us = found.now_us if self._follow else now_us + lasted_us(found.entry)
        return end_us, outcomes.recorded(found.entry)


def _deadline_us(wish: Wait, now_us: int) -> int:
    """As a moment that can be written; what lies beyond is not reached anyway."""
    if wish.HasField("deadline_us"):
        return min(wish.deadline_us, LAST_US + 1)
    return min(now_us + 1000 * wish.deadline_ms, LAST_US + 1) if wish.HasField("deadline_ms") else NEVER


def _dated(wish: Wait, deadline_us: int) -> Wait:
    dated = Wait(path=wish.path, kind=wish.kind, tool=wish.tool, topic=wish.topic)
    if deadline_us != NEVER:
        dated.deadline_us = deadline_us
    return dated


def _complete(entry: JournalEntry, outcome: Outcome, end_us: int) -> None:
    entry.end_us = end_us
    if isinstance(outcome, Failure):
        entry.state, entry.error = FAILED, outcome.to_json()
    else:
        entry.state, entry.output = SUCCEEDED, orjson.dumps(outcome.value)
