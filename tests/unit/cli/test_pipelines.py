"""`ordinaut pipeline`: lint prints repairs as a diff; graph and schema need no server."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from google.protobuf.json_format import ParseDict

from ordinaut.errors import InvalidArgumentError, Repair, Violation
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.error_pb2 import Fix as ErrorFix
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import WatchRunResponse
from ordinaut.v1.task_pb2 import RunPolicy, Task
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import ListToolsResponse
from tests.unit.cli.conftest import Cli, Gateway

PIPELINE = """
version: 1
steps:
  - {id: agenda, use: calendar.list_events, on_error: [{id: h, uses: a.b}]}
  - id: all
    foreach: steps.agenda.events
    if: "length(steps.agenda.events) > 0"
    do: [{id: a, uses: weather.forecast}, {id: b, uses: mail.send}]
  - {id: report, uses: orchestrator.run_task, with: {task: tasks/report, wait: true}}
  - {id: inner, uses: orchestrator.run_pipeline, with: {pipeline: [{id: deep, uses: a.b}]}}
  - {id: both, branches: {x: [{id: c, uses: a.c}], y: [{id: d, uses: a.d}]}}
on_error:
  - {id: tell, uses: orchestrator.emit}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE)
    return str(path)


def refused() -> InvalidArgumentError:
    """The error of the gateway for the misspelt `uses`."""
    move = {"op": "move", "from": "/task/pipeline/steps/0/use", "path": "/task/pipeline/steps/0/uses"}
    violation = Violation(
        "task.pipeline.steps[0].use", "unknown key", ErrorReason.INVALID_PIPELINE, Repair("Renames it.", [move])
    )
    return InvalidArgumentError.of([violation])


def test_lint_prints_repairs(cli: Cli, gateway: Gateway, file: str) -> None:
    """As a unified diff, after a second validation of the repaired document; the file is unchanged."""
    gateway.queue["ValidateTask"] = [refused(), Task()]
    result = cli("pipeline", "lint", file)
    assert result.exit_code == 1
    assert "task.pipeline.steps[0].use: unknown key" in result.err
    assert "(move /task/pipeline/steps/0/use to /task/pipeline/steps/0/uses)" in result.err
    assert '-      "use": "calendar.list_events",' in result.out
    assert '+      "uses": "calendar.list_events"' in result.out
    second = gateway.requests("ValidateTask")[1]
    assert second.task.pipeline["steps"][0]["uses"] == "calendar.list_events"
    assert Path(file).read_text() == PIPELINE


def test_lint_accepts_a_valid_file(cli: Cli, gateway: Gateway, file: str) -> None:
    """Warnings are printed too."""
    gateway.answers["ValidateTask"] = Task(warnings=["pipeline.steps[1]: never runs"])
    result = cli("pipeline", "lint", file)
    assert (result.exit_code, result.out) == (0, f"{file} is valid\n")
    assert "never runs" in result.err


def test_lint_prints_fixes_of_warnings(cli: Cli, gateway: Gateway, file: str) -> None:
    """The document is valid, so the exit code is 0."""
    fix = ErrorFix(explanation="Names it.", field="task.pipeline.steps[0]")
    fix.operations.add().update({"op": "add", "path": "/task/pipeline/steps/0/name", "value": "Agenda"})
    gateway.answers["ValidateTask"] = Task(warnings=["steps[0]: has no name"], fixes=[fix])
    result = cli("pipeline", "lint", file)
    assert result.exit_code == 0
    assert "fix: Names it. (add /task/pipeline/steps/0/name" in result.err
    assert '+      "name": "Agenda"' in result.out


def test_lint_stops_when_repairs_change_nothing(cli: Cli, gateway: Gateway, file: str) -> None:
    """Repairs are not repeated without end."""
    gateway.answers["ValidateTask"] = refused()
    assert cli("pipeline", "lint", file).exit_code == 1
    assert len(gateway.requests("ValidateTask")) == 2


def test_graph_draws_steps_blocks_and_handlers(cli: Cli, gateway: Gateway, file: str) -> None:
    """As a Mermaid flowchart, without a server."""
    result = cli("pipeline", "graph", file)
    lines = [line.strip() for line in result.out.splitlines()]
    assert (result.exit_code, lines[0], gateway.asked) == (0, "flowchart TD", [])
    assert 'n3["all<br/>for each of steps.agenda.events"]' in result.out
    assert "n1 -. on error .-> n2" in lines
    assert 'n1 -->|"length(steps.agenda.events) #gt; 0"| n3' in lines
    assert lines.count("end") == sum(line.startswith("subgraph") for line in lines) == 5
    assert "failed{{failed}}" in lines
    assert "report<br/>orchestrator.run_task<br/>waits for tasks/report" in result.out


def test_graph_draws_the_steps_at_the_end(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "locked.json"
    close = {"id": "close", "uses": "orchestrator.set"}
    path.write_text(json.dumps({"steps": [{"id": "a", "uses": "orchestrator.set"}], "finally": [close]}))
    lines = [line.strip() for line in cli("pipeline", "graph", str(path)).out.splitlines()]
    assert "finally{{finally}}" in lines
    assert "finally --> n2" in lines


def test_graph_draws_alternatives_and_rounds(cli: Cli, tmp_path: Path) -> None:
    """`else` is another way from the step before to the step after."""
    asked = {"id": "c", "uses": "b.c", "until": "steps.c.ok", "every": "5s", "foreach": [1], "tolerate": "5%"}
    one = {"id": "b", "if": "params.x", "uses": "a.b", "else": [asked, {"id": "d", "uses": "c.d"}]}
    path = tmp_path / "else.json"
    path.write_text(json.dumps({"steps": [{"id": "a", "uses": "a.a"}, one, {"id": "e", "uses": "d.e"}]}))
    lines = [line.strip() for line in cli("pipeline", "graph", str(path)).out.splitlines()]
    assert 'n3["c<br/>b.c<br/>for each of [1]<br/>tolerates 5%<br/>every 5s until steps.c.ok"]' in lines
    arrows = {line for line in lines if "--" in line}
    assert {'n1 -->|"params.x"| n2', 'n1 -->|"else"| n3', "n3 --> n4", "n2 --> n5", "n4 --> n5"} <= arrows


def test_graph_accepts_invalid_documents(cli: Cli, tmp_path: Path) -> None:
    """Invalid parts are omitted."""
    path = tmp_path / "broken.json"
    path.write_text(
        json.dumps({"steps": [1, {"id": '"<x>"\n', "do": 3, "branches": [], "on_error": "fail", "else": 1}]})
    )
    result = cli("pipeline", "graph", str(path))
    assert result.exit_code == 0
    assert '["#quot;#lt;x#gt;#quot; "]' in result.out


def fits(schema: Any, *steps: dict[str, Any]) -> bool:
    return bool(jsonschema_rs.is_valid(schema, {"version": 1, "steps": list(steps)}))


def test_the_schema_can_include_tools(cli: Cli, gateway: Gateway) -> None:
    """With names and inputs; a template is valid for any value, and required keys are required."""
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 5},
            "days": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    gateway.answers["ListTools"] = ListToolsResponse(
        tools=[
            ParseDict({"name": "tools/weather.forecast", "description": "Tells.", "input_schema": schema}, Tool()),
            ParseDict({"name": "tools/odd.one", "input_schema": {"$ref": "#/$defs/x", "$defs": {"x": {}}}}, Tool()),
        ]
    )
    known = json.loads(cli("pipeline", "schema", "--tools").out)

    def weather(**given: Any) -> dict[str, Any]:
        return {"id": "w", "uses": "weather.forecast", "with": given}

    assert fits(known, weather(city="Rome"), {"id": "o", "uses": "odd.one", "with": {"any": 1}})
    assert fits(known, weather(city="${params.city_of_many_letters}", days="${params.days}"))
    assert fits(known, weather(city="Rome", days=[1, "${params.day}"]))
    assert fits(known, {"id": "w", "uses": "weather.forecast", "with": "${params.all}"})
    assert fits(known, {"id": "g", "do": [weather(city="Rome")]})
    for wrong in (weather(), weather(city="Montreal"), weather(city="Rome", days=["x"]), weather(city="Rome", x=1)):
        assert not fits(known, wrong)
        assert not fits(known, {"id": "g", "do": [wrong]})
    assert not fits(known, {"id": "w", "uses": "wether.forecast"})
    assert not fits(known, {"id": "w", "uses": "weather.forecast"}), "the input is required"


def test_the_schema_is_printed(cli: Cli) -> None:
    """The output equals the schema that the gateway serves."""
    assert json.loads(cli("pipeline", "schema").out)["title"] == "Ordinaut pipeline, version 1"


def test_a_pipeline_runs_once_and_is_displayed(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    gateway.answers["CreateRun"] = Run(name="runs/1", state=Run.QUEUED)
    gateway.answers["WatchRun"] = [WatchRunResponse(run=Run(name="runs/1", state=Run.FAILED))]
    file = tmp_path / "task.json"
    policy = {"priority": 2, "overlap": {"policy": "SKIP"}}
    file.write_text(
        json.dumps({"name": "tasks/t", "params": {"a": 1}, "run_policy": policy, "pipeline": {"steps": []}})
    )
    result = cli("pipeline", "run", str(file), "--params", '{"a": 2, "b": 2}', "-p", "b=3")
    assert (result.exit_code, result.out) == (1, "runs/1 FAILED\n")
    request = gateway.requests("CreateRun")[0]
    assert dict(request.params) == {"a": 2, "b": 3}
    assert request.run_policy == RunPolicy(priority=2), "what needs a task is left out"
    assert cli("pipeline", "run", str(file), "--detach").out == "runs/1\n"
    assert cli("pipeline", "run", str(file), "--params", "[]").exit_code == 2
