"""Loads the task files of this example."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """Loads `<name>.yaml`."""
    document = YAML(typ="safe").load(FOLDER / f"{name}.yaml")
    return dict(document)


def create_request(task: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a CreateTaskRequest; the task id is taken from the name of the task."""
    return {"task": task, "task_id": str(task["name"]).removeprefix("tasks/")}
