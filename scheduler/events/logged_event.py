"""One event of the log."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from ordinaut.store import event

if TYPE_CHECKING:  # the client of Redis is not needed in child processes, and takes long to import
    from ordinaut.streams.event_stream import Entry


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event with its position in the log."""

    project: str
    position: int
    time: datetime
    body: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The value of `event` in a condition and in the pipeline."""
        body = self.body
        return {
            "name": f"events/{body['uid']}",
            "position": self.position,
            "topic": body["topic"],
            "source": body["source"],
            "subject": body["subject"],
            "id": body["id"],
            "data": body["data"],
            "publish_time": self.time,
            "publisher": body["publisher"],
            "depth": body["depth"],
        }

    def json(self) -> bytes:
        """The document as JSON."""
        return orjson.dumps(self.document(), option=orjson.OPT_UTC_Z)


def events_of(entry: "Entry") -> Iterator[LoggedEvent]:
    """The events of one row of the log."""
    time = datetime.fromtimestamp(entry.time_us / 1_000_000, UTC)
    return logged_events(entry.project, entry.position, time, orjson.loads(entry.events))


def logged_events(project: str, first: int, time: datetime, documents: list[dict[str, Any]]) -> Iterator[LoggedEvent]:
    """The events of stored documents of one row, from the position `first` on."""
    for position, body in enumerate(event.unfolded(documents), first):
        yield LoggedEvent(project, position, time, body)
