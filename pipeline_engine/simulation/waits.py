"""The waits of a simulated run: each is ended by a mock, the recorded run or its deadline."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.journal import FAILED, SUCCEEDED, WAITING
from pipeline_engine.interpreter.requests import Output
from pipeline_engine.simulation.clock import LAST_US
from pipeline_engine.simulation.mocks import Mocks
from pipeline_engine.simulation.recorded_run import RecordedRun, duration_us
from pipeline_engine.simulation.wait_results import TIMER, Outcome, expired_result, mocked_result, recorded_result

NEVER = 2**62


@dataclass(slots=True)
class OpenWait:
    """A wait with an absolute deadline, its journal entry, and the time and outcome of its end (NEVER: none)."""

    wait: Wait
    entry: JournalEntry
    end_us: int
    outcome: Outcome | None


class SimulatedWaits:
    """The waits of one simulated run that are open, or ended and not in its journal yet."""

    def __init__(self, mocks: Mocks, recorded_run: RecordedRun, *, replay: bool) -> None:
        self._mocks = mocks
        self._recorded_run = recorded_run
        self._replay = replay
        self._waits: dict[str, OpenWait] = {}

    def request(self, waits: Iterable[Wait], now_us: int) -> None:
        """Keeps exactly these waits; a wait that is new starts now."""
        previous, self._waits = self._waits, {}
        for wait in waits:
            self._waits[wait.path] = previous[wait.path] if wait.path in previous else self._open(wait, now_us)

    def next_end_us(self) -> int:
        """Returns the time at which the next wait ends, or NEVER."""
        return min((wait.end_us for wait in self._waits.values()), default=NEVER)

    def end_due(self, now_us: int) -> None:
        """Ends the waits that are due."""
        for wait in self._waits.values():
            if wait.end_us <= now_us and wait.outcome is not None:
                _complete(wait.entry, wait.outcome, wait.end_us)

    def entries(self) -> list[JournalEntry]:
        """Returns the entries that a resuming run receives in `RunStart.waits`."""
        return [wait.entry for wait in self._waits.values()]

    def open(self) -> list[OpenWait]:
        """Returns the waits that have not ended."""
        return [wait for wait in self._waits.values() if wait.entry.state == WAITING]

    def _open(self, wait: Wait, now_us: int) -> OpenWait:
        entry = JournalEntry(
            path=wait.path, attempt=1, state=WAITING, tool=wait.tool, input=wait.input, start_us=now_us, end_us=now_us
        )
        deadline_us = _deadline_us(wait, now_us)
        end_us, outcome = self._mocked(wait, now_us) or self._recorded(wait, now_us) or (NEVER, None)
        if end_us > deadline_us and not self._ends_as_recorded(wait, outcome):
            end_us, outcome = max(deadline_us, now_us), expired_result(wait, deadline_us)
        return OpenWait(_with_deadline(wait, deadline_us), entry, end_us, outcome)

    def _ends_as_recorded(self, wait: Wait, outcome: Outcome | None) -> bool:
        """Whether only the recorded run decides when the wait ends; a timer that it does not contain ends normally."""
        recorded = outcome is not None or wait.kind != TIMER or self._recorded_run.was_cut_off(wait.path, 1)
        return self._replay and recorded

    def _mocked(self, wait: Wait, now_us: int) -> tuple[int, Outcome] | None:
        result = None if wait.kind == TIMER else self._mocks.take(wait.path, wait.tool, 1)
        if result is None:
            return None
        end_us = now_us + (result.duration_us or 0)
        if result.failure is not None:
            return end_us, result.failure.at(wait.path, wait.tool, 1)
        return (end_us, mocked_result(wait, result.output[0], end_us)) if result.output else None

    def _recorded(self, wait: Wait, now_us: int) -> tuple[int, Outcome] | None:
        """Returns the recorded result.

        In a replay it ends the wait when the recorded run resumed, which is the `now` of that segment. Otherwise the
        wait takes as long as the recorded one, except for timers: a timer at another time has another result.
        """
        answer = self._recorded_run.repeat_answer(wait.path)
        if answer is not None and self._replay:
            return answer[0], Output(answer[1])
        recorded = self._recorded_run.response(wait.path, 1)
        if recorded is None or (wait.kind == TIMER and not self._replay):
            return None
        end_us = recorded.now_us if self._replay else now_us + duration_us(recorded.entry)
        return end_us, recorded_result(recorded.entry)


def _deadline_us(wait: Wait, now_us: int) -> int:
    """Returns the absolute deadline, at most just after the latest simulated time, so that it can be formatted."""
    if wait.HasField("deadline_us"):
        return min(wait.deadline_us, LAST_US + 1)
    return min(now_us + 1000 * wait.deadline_ms, LAST_US + 1) if wait.HasField("deadline_ms") else NEVER


def _with_deadline(wait: Wait, deadline_us: int) -> Wait:
    summary = Wait(path=wait.path, kind=wait.kind, tool=wait.tool, topic=wait.topic)
    if deadline_us != NEVER:
        summary.deadline_us = deadline_us
    return summary


def _complete(entry: JournalEntry, outcome: Outcome, end_us: int) -> None:
    entry.end_us = end_us
    if isinstance(outcome, Failure):
        entry.state, entry.error = FAILED, outcome.to_json()
    else:
        entry.state, entry.output = SUCCEEDED, orjson.dumps(outcome.value)
