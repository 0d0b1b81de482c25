"""The journal of one run: the entries that were recorded, and those that are not durable yet."""

import re
from collections.abc import Iterable, Iterator, Sequence

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry

FLUSH_BYTES = 256 * 1024
CONTAINER_END = re.compile(r"[.\[]")
SUCCEEDED, FAILED, SKIPPED, WAITING, RUNNING = "SUCCEEDED", "FAILED", "SKIPPED", "WAITING", "RUNNING"
CANCELLED, STARTED = "CANCELLED", "STARTED"
NOT_RESUMED = frozenset({CANCELLED, STARTED})
UNENDED = frozenset({RUNNING, STARTED})


class Journal:
    """The entries of one run, numbered from 1: `added` is the last number, `durable` the last durable one.

    `recorded` are the entries of earlier segments by path, without those of NOT_RESUMED; `waits` are the waits that
    are open or resolved and not recorded yet, also in this segment; `containers` are the paths of the steps that
    contain one of either.
    `accepted` are the started calls that a tool has accepted, with the address of their result as output.
    `last_barrier` is the number of the newest entry that must be durable before a step with effects starts.
    `output_bytes` is the size of all outputs together.
    """

    __slots__ = (
        "_sent",
        "_unsent_bytes",
        "accepted",
        "added",
        "containers",
        "durable",
        "last_barrier",
        "output_bytes",
        "recorded",
        "unsent",
        "waits",
    )

    def __init__(self, recorded: Sequence[JournalEntry], waits: Iterable[JournalEntry] = ()) -> None:
        self.recorded = {entry.path: entry for entry in recorded if entry.state not in NOT_RESUMED}
        self.accepted = {entry.path: entry for entry in recorded if entry.state in UNENDED and entry.output}
        self.waits = {entry.path: entry for entry in waits if entry.path not in self.recorded}
        self.containers = {path for inner in (*self.recorded, *self.waits) for path in containers_of(inner)}
        self.unsent: list[JournalEntry] = []
        self.added = self.durable = self.last_barrier = 0
        self._sent = 0
        self._unsent_bytes = 0
        self.output_bytes = sum(len(entry.output) for entry in self.recorded.values())

    def cut_off_waits(self, now_us: int) -> None:
        """Records the open waits as CANCELLED, without those about the outcome of a call, which are not steps."""
        for wait in [wait for path, wait in self.waits.items() if wait.state == WAITING and "?" not in path]:
            entry = JournalEntry()
            entry.CopyFrom(wait)
            entry.state, entry.end_us = CANCELLED, now_us
            self.add(entry, barrier=True)

    def add(self, entry: JournalEntry, *, barrier: bool) -> int:
        """Adds an entry and returns its number; before a `barrier` is durable, no later step with effects starts."""
        self.unsent.append(entry)
        self.waits.pop(entry.path, None)
        self.added += 1
        size = len(entry.output)
        self.output_bytes += size
        self._unsent_bytes += len(entry.input) + size + len(entry.error)
        if barrier:
            self.last_barrier = self.added
        return self.added

    @property
    def is_large(self) -> bool:
        """Whether the unsent entries should be sent although no step waits for them."""
        return self._unsent_bytes > FLUSH_BYTES

    def is_older(self, us: int) -> bool:
        """Whether the first unsent entry ended before a time, in microseconds since 1970 UTC."""
        return bool(self.unsent) and self.unsent[0].end_us <= us

    def withdraw(self, entry: JournalEntry) -> None:
        """Removes an entry unless it was already sent; the other entries keep their numbers."""
        self.unsent = [unsent for unsent in self.unsent if unsent is not entry]

    def take_unsent(self) -> list[JournalEntry]:
        """Returns the unsent entries and counts them as sent."""
        entries, self.unsent = self.unsent, []
        self._sent, self._unsent_bytes = self.added, 0
        return entries

    def mark_durable(self) -> None:
        """Counts the entries that were sent last as durable."""
        self.durable = self._sent


def location_json(location: str) -> bytes:
    """Returns the output of the entry of a call that a tool has accepted; empty without a location."""
    return orjson.dumps({"location": location}) if location else b""


OpenStarts = dict[tuple[str, int], int]
"""The positions in a journal of the starts of calls that have not ended, by path and attempt."""


def merge(journal: list[JournalEntry], starts: OpenStarts, entries: Iterable[JournalEntry]) -> None:
    """Adds entries as the store does: the end of a call replaces its start.

    >>> journal, starts = [], {}
    >>> merge(journal, starts, [JournalEntry(path="a", attempt=1, state=RUNNING)])
    >>> merge(journal, starts, [JournalEntry(path="a", attempt=1, state=SUCCEEDED)])
    >>> [entry.state for entry in journal], starts
    (['SUCCEEDED'], {})
    """
    for entry in entries:
        position = starts.pop((entry.path, entry.attempt), len(journal))
        journal[position : position + 1] = [entry]
        if entry.state in UNENDED:
            starts[entry.path, entry.attempt] = position


def containers_of(path: str) -> Iterator[str]:
    """Yields the paths of the steps that contain a step.

    >>> list(containers_of("loop[3].b"))
    ['loop', 'loop[3]']
    """
    return (path[: match.start()] for match in CONTAINER_END.finditer(path))
