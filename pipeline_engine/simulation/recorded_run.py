"""The responses that a recorded run received, by attempt."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Recorded
from pipeline_engine.data.failure import DEADLINE, OUTCOME_UNKNOWN
from pipeline_engine.interpreter.flow.script import FINALLY
from pipeline_engine.interpreter.flow.unknown_outcome import REPEAT, comment_of
from pipeline_engine.interpreter.journal import CANCELLED, RUNNING, SUCCEEDED
from pipeline_engine.interpreter.run import StartTimes

QUESTION = re.compile(r"(?P<path>.*)\?attempt-(?P<attempt>\d+)")
"""The path of the wait in which a person decides about an UNSAFE call."""
WITHOUT_RESPONSE = frozenset({RUNNING, CANCELLED})


class RecordedRun:
    """The attempts of one run. Each of its segments is identified by the value of `now` in it."""

    def __init__(self, attempts: Iterable[Recorded]) -> None:
        self._attempts = {(attempt.entry.path, attempt.entry.attempt): attempt for attempt in attempts}
        self._positions = {key: position for position, key in enumerate(self._attempts)}
        self._segments = sorted({attempt.now_us for attempt in self._attempts.values()})

    def response(self, path: str, number: int) -> Recorded | None:
        """Returns an attempt that received a response from outside the engine, or None."""
        attempt = self._attempts.get((path, number))
        if attempt is None or not attempt.entry.tool or attempt.entry.state in WITHOUT_RESPONSE:
            return None
        if orjson.loads(attempt.entry.error or b"{}").get("code") == DEADLINE:  # the run's time was over
            return None
        return attempt if attempt.entry.state == SUCCEEDED or attempt.entry.input else None

    def was_cut_off(self, path: str, number: int) -> bool:
        """Whether the attempt ended because its run, or a sibling in it, ended first."""
        attempt = self._attempts.get((path, number))
        return attempt is not None and attempt.entry.state == CANCELLED

    def finished_after_cancel(self) -> bool:
        """Whether the run was cancelled and then ran its `finally`."""
        first_entry = self._attempts.get((FINALLY, 1))
        return first_entry is not None and bool(
            orjson.loads(first_entry.entry.output or b"{}").get("state") == CANCELLED
        )

    def repeat_decision(self, path: str, number: int) -> dict[str, Any] | None:
        """Returns the answer of a person who had an UNSAFE call repeated; the failed attempt contains it."""
        attempt = self._attempts.get((path, number))
        error = orjson.loads(attempt.entry.error) if attempt is not None and attempt.entry.error else {}
        details = error.get("details", {})
        if error.get("code") != OUTCOME_UNKNOWN or details.get("choice") != REPEAT:
            return None
        return {**details, "comment": comment_of(error["message"])}

    def repeat_answer(self, question: str) -> tuple[int, dict[str, Any]] | None:
        """Returns such an answer by the path of its wait, and the `now` of the segment that resumed with it."""
        match = QUESTION.fullmatch(question)
        if match is None:
            return None
        key = match["path"], int(match["attempt"])
        answer = self.repeat_decision(*key)
        return None if answer is None else (self._attempts[key].now_us, answer)

    def start_times(self) -> StartTimes:
        """Returns the start times of all attempts."""
        return {key: attempt.entry.start_us for key, attempt in self._attempts.items()}

    def position(self, entry: JournalEntry) -> int:
        """Returns the position of an attempt in the journal, which keeps the order in which responses arrived."""
        return self._positions[entry.path, entry.attempt]

    def segment_now_us(self, ended_us: int, previous_us: int, default_us: int) -> int:
        """Returns `now` of the segment that starts after a wait that ended at `ended_us`.

        `previous_us` is `now` of the segment before it. A wait's result is seen when the run resumes, so the recorded
        time is usually that of a segment; otherwise the next recorded segment is used.
        """
        if ended_us in self._segments:
            return ended_us
        index = bisect_right(self._segments, previous_us)
        return self._segments[index] if index < len(self._segments) else default_us


def duration_us(entry: JournalEntry) -> int:
    """Returns the duration of an attempt."""
    return max(0, entry.end_us - entry.start_us)
