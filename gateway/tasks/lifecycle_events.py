"""Publishes changes of tasks as events with topics `ordinaut.task.*`."""

from collections.abc import Sequence

from gateway.authentication.caller import Caller
from ordinaut.store import event
from ordinaut.store.sql import Connection
from ordinaut.store.tasks.task import TaskRecord


async def announce_task(connection: Connection, verb: str, record: TaskRecord, caller: Caller) -> None:
    """Appends the event `ordinaut.task.{verb}` to the log, in the transaction of the change."""
    await announce_tasks(connection, verb, [record], caller)


async def announce_tasks(connection: Connection, verb: str, records: Sequence[TaskRecord], caller: Caller) -> None:
    """Appends the events of at most a thousand tasks of one project, as one row of the log."""
    events = [
        event.of_task(verb, record.uid, record.name, publisher=caller.name, version=record.version, owner=record.owner)
        for record in records
    ]
    await event.announce(connection, caller.project, events)
