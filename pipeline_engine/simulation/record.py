"""What a run that was executed got as answers, attempt by attempt."""

from bisect import bisect_left
from collections.abc import Iterable

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Recorded
from pipeline_engine.interpreter.run import Beginnings
from pipeline_engine.journal import RUNNING, SUCCEEDED


class Record:
    """The attempts of one run; its stays in an engine are known by what `now` was in them."""

    def __init__(self, recorded: Iterable[Recorded]) -> None:
        self._attempts = {(one.entry.path, one.entry.attempt): one for one in recorded}
        self._stays = sorted({one.now_us for one in self._attempts.values()})

    def answered(self, path: str, attempt: int) -> Recorded | None:
        """The attempt, when something outside of the engine has answered it."""
        found = self._attempts.get((path, attempt))
        if found is None or not found.entry.tool or found.entry.state == RUNNING:
            return None
        return found if found.entry.state == SUCCEEDED or found.entry.input else None

    def beginnings(self) -> Beginnings:
        """When every attempt began."""
        return {place: one.entry.start_us for place, one in self._attempts.items()}

    def next_stay_us(self, moment_us: int) -> int:
        """What `now` was in the first stay that began at that moment or later; the moment itself after the last."""
        place = bisect_left(self._stays, moment_us)
        return self._stays[place] if place < len(self._stays) else moment_us


def lasted_us(entry: JournalEntry) -> int:
    """How long an attempt took."""
    return max(0, entry.end_us - entry.start_us)
