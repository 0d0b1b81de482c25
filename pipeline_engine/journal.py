"""What a run has done so far: the entries that were recorded, and those that are not durable yet."""

from collections.abc import Iterable

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry

FLUSH_BYTES = 256 * 1024
SUCCEEDED, FAILED, SKIPPED = "SUCCEEDED", "FAILED", "SKIPPED"


class Journal:
    """The entries of one run, counted from 1: `added` so far, `durable` of them, the last of a step with effects."""

    __slots__ = ("_bytes", "_sent", "added", "durable", "last_mark", "past", "unsent")

    def __init__(self, recorded: Iterable[JournalEntry]) -> None:
        self.past = {entry.path: entry for entry in recorded}
        self.unsent: list[JournalEntry] = []
        self.added = self.durable = self.last_mark = 0
        self._sent = 0
        self._bytes = 0

    def add(self, entry: JournalEntry, *, durable_first: bool) -> int:
        """Notes an entry and gives its number; `durable_first`: what comes after it with effects waits for it."""
        self.unsent.append(entry)
        self.added += 1
        self._bytes += len(entry.input) + len(entry.output) + len(entry.error)
        if durable_first:
            self.last_mark = self.added
        return self.added

    @property
    def is_large(self) -> bool:
        """Whether the unsent entries have become too large to be kept back."""
        return self._bytes > FLUSH_BYTES

    def take(self) -> list[JournalEntry]:
        """The unsent entries, which now are on their way."""
        entries, self.unsent = self.unsent, []
        self._sent, self._bytes = self.added, 0
        return entries

    def landed(self) -> None:
        """What was taken last is durable."""
        self.durable = self._sent
