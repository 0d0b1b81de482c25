"""What happens to tasks, told as events under `ordinaut.task.`."""

from collections.abc import Sequence
from typing import Any

from gateway.caller import Caller
from gateway.ids import new_id
from ordinaut.store import event
from ordinaut.store.sql import Connection
from ordinaut.store.task import TaskRecord


async def announce_task(connection: Connection, verb: str, record: TaskRecord, caller: Caller) -> None:
    """Appends `ordinaut.task.{verb}` to the log, in the transaction that made it true."""
    await announce_tasks(connection, verb, [record], caller)


async def announce_tasks(connection: Connection, verb: str, records: Sequence[TaskRecord], caller: Caller) -> None:
    """The same for some tasks of one project, as one row of the log; at most a thousand."""
    await event.announce(connection, caller.project, [_told(verb, record, caller) for record in records])


def _told(verb: str, record: TaskRecord, caller: Caller) -> dict[str, Any]:
    return {
        "uid": str(new_id()),
        "topic": f"ordinaut.task.{verb}",
        "source": f"tasks/{record.name}",
        "subject": f"tasks/{record.name}",
        "id": "",
        "publisher": caller.name,
        "depth": 0,
        "data": {"task_uid": str(record.uid), "version": record.version, "owner": record.owner},
    }
