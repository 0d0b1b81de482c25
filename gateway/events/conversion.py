"""Converts stored events to API messages."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from gateway.api.json_values import fill_struct, parse
from ordinaut.store import event
from ordinaut.store.event import LogEntry
from ordinaut.v1.event_pb2 import Event


def to_event(document: dict[str, Any], position: int = 0, publish_time: datetime | None = None) -> Event:
    """Converts an event; `document` is `{uid, topic, source, subject, id, publisher, depth, data}`."""
    message = Event(
        name=f"events/{document['uid']}" if document.get("uid") else document.get("name", ""),
        position=position or document.get("position", 0),
        topic=document["topic"],
        source=document.get("source", ""),
        subject=document.get("subject", ""),
        id=document.get("id", ""),
        publisher=document.get("publisher", ""),
        depth=document.get("depth", 0),
    )
    if publish_time is not None:
        message.publish_time.FromDatetime(publish_time)
    elif document.get("publish_time"):
        message.publish_time.FromJsonString(document["publish_time"])
    if document.get("data") is not None:
        fill_struct(message.data, document["data"])
    return message


def events_of(row: LogEntry) -> Iterator[Event]:
    """Yields the events of one row of the log, by position."""
    for offset, document in enumerate(event.unfolded(parse(row.events))):
        yield to_event(document, row.position + offset, row.create_time)
