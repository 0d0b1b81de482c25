"""What a run that was executed got as answers, attempt by attempt."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Recorded
from pipeline_engine.data.failure import OUTCOME_UNKNOWN
from pipeline_engine.interpreter.journal import CANCELLED, RUNNING, SUCCEEDED
from pipeline_engine.interpreter.run import Beginnings
from pipeline_engine.interpreter.unknown_outcome import REPEAT

QUESTION = re.compile(r"(?P<path>.*)\?attempt-(?P<attempt>\d+)")
"""The path of the wait for a person who tells what became of an UNSAFE call."""


UNANSWERED = frozenset({RUNNING, CANCELLED})


class Record:
    """The attempts of one run; its stays in an engine are known by what `now` was in them."""

    def __init__(self, recorded: Iterable[Recorded]) -> None:
        self._attempts = {(one.entry.path, one.entry.attempt): one for one in recorded}
        self._places = {place: number for number, place in enumerate(self._attempts)}
        self._stays = sorted({one.now_us for one in self._attempts.values()})

    def answered(self, path: str, attempt: int) -> Recorded | None:
        """The attempt, when something outside of the engine has answered it."""
        found = self._attempts.get((path, attempt))
        if found is None or not found.entry.tool or found.entry.state in UNANSWERED:
            return None
        return found if found.entry.state == SUCCEEDED or found.entry.input else None

    def was_cut_off(self, path: str, attempt: int) -> bool:
        """Whether the attempt ended because something else in its run did."""
        found = self._attempts.get((path, attempt))
        return found is not None and found.entry.state == CANCELLED

    def repeated(self, path: str, attempt: int) -> dict[str, Any] | None:
        """The answer of a person who had an UNSAFE call repeated; it stands in the failure of the attempt."""
        found = self._attempts.get((path, attempt))
        error = orjson.loads(found.entry.error) if found is not None and found.entry.error else {}
        details = error.get("details", {})
        if error.get("code") != OUTCOME_UNKNOWN or details.get("choice") != REPEAT:
            return None
        return {**details, "comment": error["message"].partition(f"says `{REPEAT}`: ")[2]}

    def verdict(self, question: str) -> tuple[int, dict[str, Any]] | None:
        """When the run went on with such an answer, and the answer; `question` is the path of its wait."""
        asked = QUESTION.fullmatch(question)
        if asked is None:
            return None
        place = asked["path"], int(asked["attempt"])
        answer = self.repeated(*place)
        return None if answer is None else (self._attempts[place].now_us, answer)

    def beginnings(self) -> Beginnings:
        """When every attempt began."""
        return {place: one.entry.start_us for place, one in self._attempts.items()}

    def place(self, entry: JournalEntry) -> int:
        """Where one of the attempts stands among all of them: journals keep the order in which answers came."""
        return self._places[entry.path, entry.attempt]

    def stay_us(self, ended_us: int, before_us: int, otherwise_us: int) -> int:
        """What `now` was in the stay after the one `before_us`, which a wait began that was over at `ended_us`."""
        if ended_us in self._stays:
            return ended_us
        place = bisect_right(self._stays, before_us)
        return self._stays[place] if place < len(self._stays) else otherwise_us


def lasted_us(entry: JournalEntry) -> int:
    """How long an attempt took."""
    return max(0, entry.end_us - entry.start_us)
