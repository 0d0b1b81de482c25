"""A row of the event log as an entry of the stream."""

from datetime import datetime

from ordinaut.store.event import EntryMark, LogEntry
from ordinaut.streams.event_stream import Entry


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


def uid_of(row: LogEntry | EntryMark) -> str:
    """What distinguishes a row from every other row that ever had its position.

    A database restored from a backup assigns the same ids and positions again, but not at the same time.
    """
    return f"{row.id}-{_microseconds(row.create_time):x}"


def row_of(entry: Entry) -> int:
    """The id of the row of an entry."""
    return int(entry.uid.partition("-")[0])


def _microseconds(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)
