"""`ordinaut task`: requests from files; output as tables or JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty

from ordinaut.errors import InvalidArgumentError, NotFoundError, UnavailableError, Violation
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import WatchRunResponse
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import ListTasksResponse
from tests.unit.cli.conftest import TOKEN, Cli, Gateway

LONG = f"tasks/{'a' * 63}"
YAML = """
name: brief
display_name: Briefing
schedule:
  time_zone: Europe/Bucharest
  triggers: [{interval: 1h30m}]
run_policy: {run_timeout: PT10M}
pipeline:
  steps: [{id: a, uses: mail.send, with: {on: no, when: 2026-11-23}}]
---
{"name": "tasks/other", "pipeline": {"steps": []}, "uid": "from get", "etag": "e1"}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "tasks.yaml"
    path.write_text(YAML)
    return str(path)


def test_a_new_task_is_created_under_its_id(cli: Cli, gateway: Gateway, file: str) -> None:
    gateway.answers = {"GetTask": NotFoundError.of("tasks/x"), "CreateTask": Task(name="tasks/brief")}
    assert cli("task", "apply", "-f", file).out.splitlines() == ["tasks/brief created"] * 2
    brief, other = gateway.requests("CreateTask")
    assert (brief.task_id, other.task_id) == ("brief", "other")
    assert brief.task.schedule.triggers[0].interval.seconds == 5400
    assert brief.task.run_policy.run_timeout.seconds == 600
    step = brief.task.pipeline["steps"][0]
    assert dict(step["with"]) == {"on": "no", "when": "2026-11-23"}
    assert other.task.uid == ""


def test_an_existing_task_is_updated_to_the_file(cli: Cli, gateway: Gateway, file: str) -> None:
    gateway.answers = {"GetTask": Task(etag="1"), "UpdateTask": Task(name="tasks/brief", description="new")}
    assert cli("task", "apply", "-f", file).out.startswith("tasks/brief updated\n")
    brief, other = gateway.requests("UpdateTask")
    assert set(brief.update_mask.paths) == {
        *("display_name", "description", "labels", "schedule"),
        *("run_policy", "pipeline", "params", "params_schema"),
    }
    assert other.task.etag == "e1"


def test_applying_an_equal_file_prints_unchanged(cli: Cli, gateway: Gateway, file: str) -> None:
    gateway.answers = {"GetTask": Task(etag="1"), "UpdateTask": Task(name="tasks/brief", etag="2")}
    assert cli("task", "apply", "-f", file).out.splitlines() == ["tasks/brief unchanged"] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x\n", "alias"),
        ("- 1\n", "must be an object"),
        ("a: [", "must be YAML 1.2 or JSON"),
        ("name: a\nname: b\n", "task.name: must be unique in its object (repeated in line 2)"),
        ("!!python/object:os.x {}\n", "must be YAML 1.2 or JSON"),
        ("name: a\nschedul: {}\n", "task.schedul: unknown field; did you mean schedule?"),
        ("name: a\nrun_policy: {run_timeout: soon}\n", "task.run_policy.run_timeout: must be a duration such as 90s"),
        ("name: a\npipeline: {n: 9007199254740993}\n", "task.pipeline.n: integers from 2^53 on"),
        ("name: a\npipeline: {1: 2}\n", "key 1 must be a string"),
        ("pipeline: {}\n", "task.name: is required"),
    ],
)
def test_a_malformed_file_is_rejected_with_the_path(
    cli: Cli, gateway: Gateway, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    result = cli("task", "apply", "-f", str(path))
    assert result.exit_code == 1
    assert {name for name, _ in gateway.asked} <= {"ValidateTask"}, "nothing is applied"
    assert said in result.err


def test_a_missing_file_is_an_error(cli: Cli) -> None:
    result = cli("task", "apply", "-f", "/nowhere/task.yaml")
    assert result.exit_code == 1
    assert "/nowhere/task.yaml" in result.err


def test_a_list_reads_all_pages_with_the_token(cli: Cli, gateway: Gateway) -> None:
    gateway.queue["ListTasks"] = [
        ListTasksResponse(tasks=[Task(name=LONG, state=Task.ACTIVE)], next_page_token="more"),
        ListTasksResponse(tasks=[Task(name="tasks/b", state=Task.PAUSED)]),
    ]
    lines = cli("task", "list").out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[LONG, "ACTIVE"], ["tasks/b", "PAUSED"]]
    assert [request.page_token for request in gateway.requests("ListTasks")] == ["", "more"]
    assert gateway.metadata[0]["authorization"] == f"Bearer {TOKEN}"


def test_markup_in_a_name_is_not_interpreted(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["ListTasks"] = ListTasksResponse(tasks=[Task(name="tasks/a", display_name="[red]x[/red]")])
    assert "[red]x[/red]" in cli("task", "list").out


def test_json_is_accepted_before_and_after_the_command(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["ListTasks"] = ListTasksResponse(tasks=[Task(name="tasks/a")])
    before, after = cli("--json", "task", "list"), cli("task", "list", "--json")
    assert before.out == after.out
    assert json.loads(before.out) == {"tasks": [{"name": "tasks/a"}]}


def test_run_sends_params_as_json_or_text(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["RunTask"] = Run(name="runs/1")
    result = cli("task", "run", "brief", "--param", "n=3", "--param", "city=Cluj", "--param", 'l=["a"]')
    assert result.out == "runs/1\n"
    request = gateway.requests("RunTask")[0]
    assert request.name == "tasks/brief"
    assert dict(request.params) | {"l": list(request.params["l"])} == {"n": 3, "city": "Cluj", "l": ["a"]}


def test_a_param_without_a_value_is_wrong_usage(cli: Cli, gateway: Gateway) -> None:
    result = cli("task", "run", "brief", "--param", "n")
    assert (result.exit_code, gateway.asked) == (2, [])


@pytest.mark.parametrize(("state", "code"), [(Run.SUCCEEDED, 0), (Run.FAILED, 1)])
def test_run_with_watch_exits_with_the_run(cli: Cli, gateway: Gateway, state: Run.State.ValueType, code: int) -> None:
    step = StepRun(path="a", state=StepRun.SUCCEEDED, attempt=1)
    gateway.answers["RunTask"] = Run(name="runs/1")
    gateway.answers["WatchRun"] = [
        _watched(Run(name="runs/1", state=Run.QUEUED)),
        _watched(Run(name="runs/1", state=Run.RUNNING), step),
        _watched(Run(name="runs/1", state=state)),
    ]
    result = cli("task", "run", "brief", "--watch")
    assert result.exit_code == code
    assert result.out.split("\n")[:-1] == [
        "runs/1 QUEUED",
        "a SUCCEEDED try 1 ",
        "runs/1 RUNNING",
        f"runs/1 {Run.State.Name(state)}",
    ]


def test_pause_resume_and_delete_name_the_task(cli: Cli, gateway: Gateway) -> None:
    paused, active = Task(name="tasks/a", state=Task.PAUSED), Task(name="tasks/a", state=Task.ACTIVE)
    gateway.answers = {"PauseTask": paused, "ResumeTask": active, "DeleteTask": Empty()}
    assert cli("task", "pause", "a", "--reason", "holiday").out == "tasks/a PAUSED\n"
    assert cli("task", "resume", "tasks/a").out == "tasks/a ACTIVE\n"
    assert cli("task", "delete", "a").out == "tasks/a deleted\n"
    assert gateway.requests("PauseTask")[0].reason == "holiday"
    assert {request.name for _, request in gateway.asked} == {"tasks/a"}


def _watched(run: Run, *steps: StepRun) -> WatchRunResponse:
    return WatchRunResponse(run=run, steps=steps)


def test_an_occurrence_is_skipped_and_the_next_one_snoozed(cli: Cli, gateway: Gateway) -> None:
    skipped = Occurrence(name="tasks/a/occurrences/20261225T060000Z", outcome=Occurrence.SKIPPED)
    gateway.answers = {"SkipOccurrence": skipped, "SnoozeTask": Task(name="tasks/a")}
    assert cli("task", "skip", "a", "20261225T060000Z", "--reason", "x").out == f"{skipped.name} SKIPPED\n"
    request = gateway.requests("SkipOccurrence")[0]
    assert (request.name, request.occurrence, request.reason) == ("tasks/a", "20261225T060000Z", "x")
    assert cli("task", "snooze", "a", "--for", "1h30m").out == "tasks/a snoozed\n"
    assert cli("task", "snooze", "a", "--until", "2026-12-25T06:00:00Z").exit_code == 0
    delayed, moved = gateway.requests("SnoozeTask")
    assert delayed.delay.seconds == 5400
    assert moved.HasField("until_time")


@pytest.mark.parametrize("options", [(), ("--for", "1h", "--until", "2026-12-25T06:00:00Z"), ("--for", "soon")])
def test_a_snooze_requires_a_delay_or_a_time(cli: Cli, gateway: Gateway, options: tuple[str, ...]) -> None:
    assert cli("task", "snooze", "a", *options).exit_code == 2
    assert gateway.asked == []


BOTH = """
name: tasks/both
display_nam: typo
schedule: {triggers: [{cron: "61 * * * *"}]}
pipeline: {version: 1, steps: []}
"""
CRON = "task.schedule.triggers[0].cron"


def test_one_answer_names_the_problems_of_the_document_and_of_the_gateway(
    cli: Cli, gateway: Gateway, tmp_path: Path
) -> None:
    (tmp_path / "task.yaml").write_text(BOTH)
    found = [Violation(CRON, "no minute 61"), Violation("task.display_nam.x", "a consequence")]
    gateway.answers = {"ValidateTask": InvalidArgumentError.of(found)}
    result = cli("--json", "task", "apply", "-f", str(tmp_path / "task.yaml"))
    error = json.loads(result.err)["error"]
    assert (result.exit_code, error["code"]) == (1, "INVALID_ARGUMENT")
    assert [each["field"] for each in error["violations"]] == ["task.display_nam", CRON]
    assert [name for name, _ in gateway.asked] == ["ValidateTask"], "nothing is applied"
    [sent] = gateway.requests("ValidateTask")
    assert str(sent.task.schedule.triggers[0].cron)


@pytest.mark.parametrize("answer", [Task(), UnavailableError(ErrorReason.ENGINE_UNAVAILABLE, "none", retry_after=0.0)])
def test_the_problems_of_the_document_do_not_need_the_gateway(
    cli: Cli, gateway: Gateway, tmp_path: Path, answer: Any
) -> None:
    (tmp_path / "task.yaml").write_text(BOTH)
    gateway.answers = {"ValidateTask": answer}
    result = cli("task", "apply", "-f", str(tmp_path / "task.yaml"))
    assert result.exit_code == 1
    assert "task.display_nam" in result.err
    assert "move /display_nam to /display_name" in result.err, "the fix addresses the file"


def test_the_problems_of_every_document_are_reported(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "tasks.yaml").write_text(f"{BOTH}---\n{BOTH.replace('tasks/both', 'tasks/other')}")
    gateway.answers = {"ValidateTask": InvalidArgumentError.of([Violation(CRON, "no minute 61")])}
    result = cli("task", "apply", "-f", str(tmp_path / "tasks.yaml"))
    for name in ("both", "other"):
        assert f"tasks/{name}: task.display_nam" in result.err
        assert f"tasks/{name}: {CRON}" in result.err
