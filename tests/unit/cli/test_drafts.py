"""`ordinaut draft` and `ordinaut task apply --fix`: what was changed is shown, and nothing assumed is applied."""

from pathlib import Path
from typing import Any

import pytest

from ordinaut.cli.files import one_document
from ordinaut.errors import NotFoundError
from ordinaut.v1.draft_pb2 import Certainty, Change, Choice, Dropped, Problem, Question, Source
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import DraftTaskResponse
from tests.unit.cli.conftest import Cli, Gateway

STEPS: dict[str, Any] = {
    "steps": [{"id": "a", "uses": "mail.send", "if": "x > 1", "with": {"to": "team", "text": "hi"}}],
    "version": 1,
}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "my-task.yaml"
    path.write_text("name: brief\nsteps: []\n")
    return str(path)


def drafted(*changes: Change, complete: bool = True, name: str = "tasks/brief") -> DraftTaskResponse:
    task = Task(name=name)
    task.pipeline.update(STEPS)
    return DraftTaskResponse(tasks=[task], changes=changes, complete=complete)


def change(certainty: Certainty.ValueType) -> Change:
    made = Change(task_pointer="/name", to='"tasks/brief"', why="Because.", certainty=certainty)
    made.source.CopyFrom(Source(line=3, column=1, excerpt="name: brief"))
    setattr(made, "from", '"brief"')
    return made


def test_a_draft_is_shown_with_its_changes(cli: Cli, gateway: Gateway, file: str, tmp_path: Path) -> None:
    gateway.answers = {"DraftTask": drafted(change(Certainty.ASSUMED))}
    shown = cli("draft", file, "--answer", "tool:w=register", "--time-zone", "Europe/Rome")
    assert shown.exit_code == 0
    assert shown.out.startswith("name: tasks/brief\npipeline:\n  version: 1\n  steps:\n    - ")
    assert 'line 3: assumed Because.\n    - "brief"\n    + "tasks/brief"' in shown.err
    [request] = gateway.requests("DraftTask")
    assert (request.text, dict(request.answers)) == ("name: brief\nsteps: []\n", {"tool:w": "register"})
    assert request.time_zone == "Europe/Rome"
    written = tmp_path / "task.yaml"
    assert cli("draft", file, "-o", str(written)).out == ""
    assert one_document(str(written))["pipeline"] == STEPS


def test_open_questions_and_losses_end_with_code_1(cli: Cli, gateway: Gateway, file: str) -> None:
    response = drafted(complete=False)
    choices = [Choice(id="a", label="the first"), Choice(id="b", label="the second")]
    response.questions.append(Question(id="q", text="Which one?", choices=choices, default_choice="b"))
    response.dropped.append(Dropped(why="A command cannot be carried over."))
    response.problems.append(Problem(field="tasks[0].pipeline", message="is empty"))
    gateway.answers = {"DraftTask": response}
    shown = cli("draft", file)
    assert shown.exit_code == 1
    assert "question q: Which one?\n    --answer q=a  the first\n    --answer q=b  the second (default)" in shown.err
    assert "lost A command cannot be carried over." in shown.err
    assert "problem tasks[0].pipeline: is empty" in shown.err


def test_a_draft_without_a_name_is_named_by_its_file(cli: Cli, gateway: Gateway, file: str) -> None:
    gateway.answers = {"DraftTask": drafted(name="")}
    assert cli("draft", file).out.startswith("name: tasks/my-task\n")


def test_apply_with_fix_makes_certain_changes_only(cli: Cli, gateway: Gateway, file: str) -> None:
    gateway.answers = {
        "DraftTask": drafted(change(Certainty.CERTAIN)),
        "GetTask": NotFoundError.of("tasks/brief"),
        "CreateTask": Task(name="tasks/brief"),
    }
    applied = cli("task", "apply", "-f", file, "--fix")
    assert (applied.exit_code, applied.out) == (0, "tasks/brief created\n")
    assert "line 3: certain Because." in applied.err
    gateway.answers["DraftTask"] = drafted(change(Certainty.CERTAIN), change(Certainty.ASSUMED))
    refused = cli("task", "apply", "-f", file, "--fix")
    assert refused.exit_code == 1
    assert "nothing was applied" in refused.err
    assert len(gateway.requests("CreateTask")) == 1


def test_an_answer_has_the_form_question_choice(cli: Cli, file: str) -> None:
    refused = cli("draft", file, "--answer", "register")
    assert refused.exit_code == 2
    assert "QUESTION=CHOICE" in refused.err
