"""`ordinaut task check`: stored tasks that would be refused now."""

import json

import pytest

from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import ListTasksResponse
from tests.unit.cli.conftest import Cli, Gateway

FIELD = "task.pipeline.steps[0].if"
REFUSED = InvalidArgumentError.of([Violation(FIELD, "no placeholder", ErrorReason.TEMPLATE_AMBIGUOUS)])
PAST = InvalidArgumentError.of([Violation("task.schedule.triggers[0].once", "past", ErrorReason.ONCE_IN_PAST)])


def tasks(*names: str) -> ListTasksResponse:
    return ListTasksResponse(
        tasks=[Task(name=f"tasks/{name}", version=3, owner="agents/a", display_name=name) for name in names]
    )


def test_all_tasks_are_validated_as_new_ones(cli: Cli, gateway: Gateway) -> None:
    """Without output-only fields; a time that has passed is no problem of a stored task."""
    gateway.answers = {"ListTasks": tasks("good", "bad", "past")}
    gateway.queue = {"ValidateTask": [Task(), REFUSED, PAST]}
    result = cli("task", "check", "--all")
    assert result.exit_code == 1
    assert [line.split() for line in result.out.splitlines()[1:]] == [["tasks/bad", "3", FIELD, "no", "placeholder"]]
    sent = [request.task for request in gateway.requests("ValidateTask")]
    assert [(task.display_name, task.owner, task.version) for task in sent] == [
        ("good", "", 0),
        ("bad", "", 0),
        ("past", "", 0),
    ]


def test_chosen_tasks_are_checked(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"GetTask": tasks("good").tasks[0], "ValidateTask": Task()}
    result = cli("--json", "task", "check", "good")
    assert (result.exit_code, json.loads(result.out)) == (0, {"problems": []})


@pytest.mark.parametrize("arguments", [(), ("one", "--all")])
def test_either_names_or_all_are_required(cli: Cli, gateway: Gateway, arguments: tuple[str, ...]) -> None:
    assert cli("task", "check", *arguments).exit_code == 2
    assert not gateway.asked
