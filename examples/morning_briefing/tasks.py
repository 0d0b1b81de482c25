"""The tasks of this example as their files hold them."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """The document of `<name>.yaml`."""
    document = YAML(typ="safe").load(FOLDER / f"{name}.yaml")
    return dict(document)


def create_request(task: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a CreateTaskRequest under the id that the task's name holds."""
    return {"task": task, "task_id": str(task["name"]).removeprefix("tasks/")}
