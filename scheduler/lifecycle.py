"""Events about tasks, as the log keeps them."""

from typing import Any
from uuid import UUID, uuid4


def task_event(what: str, uid: UUID, name: str) -> dict[str, Any]:
    """An event of topic `ordinaut.task.<what>`."""
    return {
        "uid": str(uuid4()),
        "topic": f"ordinaut.task.{what}",
        "source": f"tasks/{name}",
        "subject": f"tasks/{name}",
        "id": "",
        "publisher": "",
        "depth": 0,
        "data": {"task_uid": str(uid)},
    }
