"""A row of the event log as an entry of the stream."""

from datetime import datetime

from ordinaut.store.sql import Record
from ordinaut.streams.event_stream import Entry


def entry_of(row: Record) -> Entry:
    """The entry that stands for a row (id, project, position, count, create_time, events)."""
    return Entry(
        uid=uid_of(row),
        project=row["project"],
        position=row["position"],
        count=row["count"],
        time_us=_microseconds(row),
        events=row["events"].encode(),
    )


def uid_of(row: Record) -> str:
    """What tells a row from any other that ever stood at its position.

    A database that was restored from a backup gives the same ids and positions once more, but not at the same moment.
    """
    return f"{row['id']}-{_microseconds(row):x}"


def _microseconds(row: Record) -> int:
    moment: datetime = row["create_time"]
    return round(moment.timestamp() * 1_000_000)
