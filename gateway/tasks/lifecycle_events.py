"""What happens to tasks, told as events under `ordinaut.task.`."""

from collections.abc import Sequence

from gateway.authentication.caller import Caller
from ordinaut.store import event
from ordinaut.store.sql import Connection
from ordinaut.store.task import TaskRecord


async def announce_task(connection: Connection, verb: str, record: TaskRecord, caller: Caller) -> None:
    """Appends `ordinaut.task.{verb}` to the log, in the transaction that made it true."""
    await announce_tasks(connection, verb, [record], caller)


async def announce_tasks(connection: Connection, verb: str, records: Sequence[TaskRecord], caller: Caller) -> None:
    """The same for some tasks of one project, as one row of the log; at most a thousand."""
    told = [
        event.of_task(verb, record.uid, record.name, publisher=caller.name, version=record.version, owner=record.owner)
        for record in records
    ]
    await event.announce(connection, caller.project, told)
