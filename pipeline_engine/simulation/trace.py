"""The trace of a simulation: its journal, the requests without a response, and the limits of both."""

from collections.abc import Iterable

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from pipeline_engine.interpreter.journal import RUNNING, OpenStarts, merge
from pipeline_engine.interpreter.requests import Entries

MAX_ENTRIES = 10_000
MAX_BYTES = 2 * 1024 * 1024
"""Limit of all inputs, outputs and errors together."""


class CutError(Exception):
    """The simulation stops early; the message is the reason, empty if the trace shows it."""


class Trace:
    """The journal of a simulated run, which begins with the `earlier` entries of its start.

    The trace of a replay may exceed the limits by the size of the `replayed` entries: a run of any size can be replayed
    to its end.
    """

    def __init__(self, earlier: Iterable[JournalEntry], replayed: Iterable[JournalEntry] = ()) -> None:
        self.journal = list(earlier)
        self._earlier = len(self.journal)
        sizes = [_size(entry) for entry in replayed]
        self._max_entries, self._max_bytes = MAX_ENTRIES + len(sizes), MAX_BYTES + sum(sizes)
        self._starts: OpenStarts = {}
        self._bytes = 0
        self._unanswered: dict[int, JournalEntry] = {}

    def keep(self, entries: Entries) -> None:
        """Adds entries.

        Raises:
            CutError: the trace exceeds a limit.
        """
        self.keep_unlimited(entries)
        self._bytes += sum(map(_size, entries))
        if len(self.journal) > self._max_entries:
            raise CutError(f"the simulation stopped after {self._max_entries} attempts")
        if self._bytes > self._max_bytes:
            raise CutError(f"the simulation stopped after {self._max_bytes} bytes of inputs and outputs")

    def keep_unlimited(self, entries: Entries) -> None:
        """Adds the last entries of a simulation that stops."""
        merge(self.journal, self._starts, entries)

    def start_segment(self) -> None:
        """Forgets the unanswered requests: a new segment makes them again."""
        self._unanswered.clear()

    def add_unanswered(self, request_id: int, step: JournalEntry, now_us: int) -> None:
        """Notes a call or effect without a response as RUNNING."""
        entry = self._unanswered[request_id] = JournalEntry()
        entry.CopyFrom(step)
        entry.state, entry.start_us = RUNNING, entry.start_us or now_us
        entry.end_us = entry.start_us

    def cancel(self, request_id: int) -> None:
        """Removes an unanswered request that was cancelled."""
        self._unanswered.pop(request_id, None)

    def new_entries(self) -> list[JournalEntry]:
        """Returns the entries that the simulation has added."""
        return self.journal[self._earlier :]

    def unanswered(self) -> list[JournalEntry]:
        """Returns the requests without a response that are not in the journal."""
        recorded = {(entry.path, entry.attempt) for entry in self.new_entries()}
        return [entry for entry in self._unanswered.values() if (entry.path, entry.attempt) not in recorded]


def _size(entry: JournalEntry) -> int:
    return len(entry.input) + len(entry.output) + len(entry.error)
