"""An event of the log as the message that callers see."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from gateway.values import fill_struct, parse
from ordinaut.store.sql import Record
from ordinaut.v1.event_pb2 import Event


def to_event(event: dict[str, Any], position: int = 0, publish_time: datetime | None = None) -> Event:
    """The message; `event` is `{uid, topic, source, subject, id, publisher, depth, data}`."""
    message = Event(
        name=f"events/{event['uid']}" if event.get("uid") else event.get("name", ""),
        position=position or event.get("position", 0),
        topic=event["topic"],
        source=event.get("source", ""),
        subject=event.get("subject", ""),
        id=event.get("id", ""),
        publisher=event.get("publisher", ""),
        depth=event.get("depth", 0),
    )
    if publish_time is not None:
        message.publish_time.FromDatetime(publish_time)
    elif event.get("publish_time"):
        message.publish_time.FromJsonString(event["publish_time"])
    data = event.get("data")
    if data is not None:  # what a pipeline emits may be any JSON value; a Struct holds objects
        fill_struct(message.data, data if isinstance(data, dict) else {"value": data})
    return message


def events_of(row: Record) -> Iterator[Event]:
    """The events of one row of the log, by position."""
    for offset, event in enumerate(parse(row["events"])):
        yield to_event(event, row["position"] + offset, row["create_time"])
