"""What a run has done so far: the entries that were recorded, and those that are not durable yet."""

import re
from collections.abc import Iterable, Iterator

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry

FLUSH_BYTES = 256 * 1024
INSIDE = re.compile(r"[.\[]")
SUCCEEDED, FAILED, SKIPPED, WAITING, RUNNING = "SUCCEEDED", "FAILED", "SKIPPED", "WAITING", "RUNNING"
CANCELLED = "CANCELLED"


class Journal:
    """The entries of one run, counted from 1: `added` so far, `durable` of them, the last of a step with effects.

    `past` are those recorded earlier, without what was cut off; `waits` what was asked for and is not recorded yet;
    `begun` are the paths of steps that hold one of either. `kept_bytes` are those of all outputs together.
    """

    __slots__ = ("_bytes", "_sent", "added", "begun", "durable", "kept_bytes", "last_mark", "past", "unsent", "waits")

    def __init__(self, recorded: Iterable[JournalEntry], waits: Iterable[JournalEntry] = ()) -> None:
        self.past = {entry.path: entry for entry in recorded if entry.state != CANCELLED}
        self.waits = {entry.path: entry for entry in waits}
        self.begun = {around for path in (*self.past, *self.waits) for around in _around(path)}
        self.unsent: list[JournalEntry] = []
        self.added = self.durable = self.last_mark = 0
        self._sent = 0
        self._bytes = 0
        self.kept_bytes = sum(len(entry.output) for entry in self.past.values())

    def add(self, entry: JournalEntry, *, durable_first: bool) -> int:
        """Notes an entry and gives its number; `durable_first`: what comes after it with effects waits for it."""
        self.unsent.append(entry)
        self.added += 1
        kept = len(entry.output)
        self.kept_bytes += kept
        self._bytes += len(entry.input) + kept + len(entry.error)
        if durable_first:
            self.last_mark = self.added
        return self.added

    @property
    def is_large(self) -> bool:
        """Whether the unsent entries have become too large to be kept back."""
        return self._bytes > FLUSH_BYTES

    def withdraw(self, entry: JournalEntry) -> None:
        """Takes an entry back, unless it is on its way already; the others keep their numbers."""
        self.unsent = [kept for kept in self.unsent if kept is not entry]

    def take(self) -> list[JournalEntry]:
        """The unsent entries, which now are on their way."""
        entries, self.unsent = self.unsent, []
        self._sent, self._bytes = self.added, 0
        return entries

    def landed(self) -> None:
        """What was taken last is durable."""
        self.durable = self._sent


Starts = dict[tuple[str, int], int]
"""Where in a journal the starts of calls stand that have not ended, by path and attempt."""


def merge(journal: list[JournalEntry], starts: Starts, entries: Iterable[JournalEntry]) -> None:
    """Adds entries as the store does: the end of a call takes the place of its start."""
    for entry in entries:
        place = starts.pop((entry.path, entry.attempt), len(journal))
        journal[place : place + 1] = [entry]
        if entry.state == RUNNING:
            starts[entry.path, entry.attempt] = place


def _around(path: str) -> Iterator[str]:
    """The paths of the steps that a step lies in."""
    return (path[: mark.start()] for mark in INSIDE.finditer(path))
