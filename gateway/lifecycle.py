"""What happens to tasks, told as events under `ordinaut.task.`."""

from datetime import datetime

from gateway.caller import Caller
from gateway.ids import new_id
from ordinaut.store import event
from ordinaut.store.sql import Connection
from ordinaut.store.task import TaskRecord


async def announce_task(connection: Connection, verb: str, record: TaskRecord, caller: Caller) -> datetime:
    """Appends `ordinaut.task.{verb}` to the log, in the transaction that made it true."""
    told = {
        "uid": str(new_id()),
        "topic": f"ordinaut.task.{verb}",
        "source": f"tasks/{record.name}",
        "subject": f"tasks/{record.name}",
        "id": "",
        "publisher": caller.name,
        "depth": 0,
        "data": {"task_uid": str(record.uid), "version": record.version, "owner": record.owner},
    }
    return await event.announce(connection, record.project, [told])
