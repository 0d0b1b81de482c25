"""A row of the event log as an entry of the stream."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from ordinaut.store.event import LogEntry
from ordinaut.streams.event_stream import Entry

Row = TypeVar("Row", LogEntry, Entry)


def first_bytes(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """The first rows with events of at most that size, but at least one row."""
    size = 0
    for place, row in enumerate(rows):
        size += len(row.events)
        if size > most:
            return rows[: max(place, 1)]
    return rows


def stream_entry(row: LogEntry) -> Entry:
    """The stream entry of a row."""
    return Entry(
        uid=uid_of(row),
        project=row.project,
        position=row.position,
        count=row.count,
        time_us=_microseconds(row.create_time),
        events=row.events.encode(),
    )


def uid_of(row: LogEntry) -> str:
    """What distinguishes a row from every other row that ever had its position.

    A database restored from a backup assigns the same ids and positions again, but not at the same time.
    """
    return f"{row.id}-{_microseconds(row.create_time):x}"


def row_of(entry: Entry) -> int:
    """The id of the row of an entry."""
    return int(entry.uid.partition("-")[0])


def _microseconds(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)
