"""What a run has done so far: the entries that were recorded, and those that are not durable yet."""

import hashlib
from collections.abc import Iterable

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry

MAX_KEY = 255
KEPT_OF_LONG_KEY = 190
FLUSH_BYTES = 256 * 1024
SUCCEEDED, FAILED, SKIPPED = "SUCCEEDED", "FAILED", "SKIPPED"


class Journal:
    """The entries of one run. `must_commit` says that a step with effects has ended and is not durable yet."""

    __slots__ = ("_bytes", "must_commit", "past", "unsent")

    def __init__(self, recorded: Iterable[JournalEntry]) -> None:
        self.past = {entry.path: entry for entry in recorded}
        self.unsent: list[JournalEntry] = []
        self.must_commit = False
        self._bytes = 0

    def add(self, entry: JournalEntry, *, durable_first: bool) -> None:
        """Notes an entry; `durable_first`: what comes after it with effects waits until it is durable."""
        self.unsent.append(entry)
        self._bytes += len(entry.input) + len(entry.output) + len(entry.error)
        if durable_first or self._bytes > FLUSH_BYTES:
            self.must_commit = True

    @property
    def is_large(self) -> bool:
        """Whether the unsent entries have become too large to be kept back."""
        return self._bytes > FLUSH_BYTES

    def take(self) -> list[JournalEntry]:
        """The unsent entries, which now are on their way."""
        entries, self.unsent = self.unsent, []
        self.must_commit, self._bytes = False, 0
        return entries


def idempotency_key(root: str, path: str) -> str:
    """`<root>/<path>`; over 255 characters its first 190 and a SHA-256 of the whole."""
    key = f"{root}/{path}"
    if len(key) <= MAX_KEY:
        return key
    return key[:KEPT_OF_LONG_KEY] + hashlib.sha256(key.encode()).hexdigest()
