"""DraftTask: documents written from memory become the tasks that were meant."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest_asyncio
from google.protobuf.json_format import ParseDict

from gateway.api.json_values import to_python
from ordinaut.v1.draft_pb2 import Certainty
from ordinaut.v1.task_service_pb2 import DraftTaskRequest, DraftTaskResponse, GetTaskSchemaRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from tests.integration.support.gateway_system import GatewaySystem, gateway_system, refusal

DRAFTS = sorted((Path(__file__).parents[2] / "data" / "drafts" / "shared").glob("[0-9]*.*"))
TOOLS: list[dict[str, Any]] = [
    {
        "name": "tools/weather.forecast",
        "effect": "READ",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "output_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "temp": {"type": "number"}},
            "required": ["city", "temp"],
        },
        "http": {"url": "http://127.0.0.1:9/forecast"},
    },
    {
        "name": "tools/mail.send",
        "input_schema": {
            "type": "object",
            "properties": {"to": {"type": "string"}, "text": {}},
            "required": ["to", "text"],
        },
        "output_schema": {"type": "object", "properties": {"id": {"type": "string"}}},
        "http": {"url": "http://127.0.0.1:9/mail"},
    },
    {"name": "tools/calendar.list_events", "effect": "READ", "http": {"url": "http://127.0.0.1:9/events"}},
]


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url, egress="127.0.0.1:9") as started:
        for tool in TOOLS:
            name = tool["name"].removeprefix("tools/")
            await started.admin.tools.CreateTool(CreateToolRequest(tool=ParseDict(tool, Tool()), tool_id=name))
        yield started


async def draft(system: GatewaySystem, text: str, **more: Any) -> DraftTaskResponse:
    answer: DraftTaskResponse = await system.admin.tasks.DraftTask(DraftTaskRequest(text=text, **more))
    return answer


async def test_a_valid_document_is_not_changed(system: GatewaySystem) -> None:
    text = "name: tasks/a\npipeline: {version: 1, steps: [{id: w, uses: weather.forecast, with: {city: Berlin}}]}\n"
    drafted = await draft(system, text)
    assert (drafted.complete, len(drafted.changes), len(drafted.questions)) == (True, 0, 0)
    assert drafted.tasks[0].name == "tasks/a"


async def test_every_draft_of_a_model_has_an_answer(system: GatewaySystem) -> None:
    """A task with changes, or questions of which each has two choices at least."""
    for path in DRAFTS:
        drafted = await draft(system, path.read_text())
        assert drafted.tasks, path.name
        assert all(len(question.choices) > 1 for question in drafted.questions), path.name


async def test_the_zone_of_the_caller_is_assumed(system: GatewaySystem) -> None:
    text = "pipeline: {steps: [{id: w, uses: weather.forecast, with: {city: Berlin}}]}\n"
    text += 'schedule: {triggers: [{cron: "0 9 * * *"}]}\n'
    asked = await draft(system, text)
    assert [question.id for question in asked.questions] == ["schedule.time_zone"]
    assumed = await draft(system, text, time_zone="Europe/Rome")
    assert (assumed.complete, assumed.tasks[0].schedule.time_zone) == (True, "Europe/Rome")
    assert [change.certainty for change in assumed.changes] == [Certainty.ASSUMED]
    answered = await draft(system, text, answers={"schedule.time_zone": "Asia/Kolkata"})
    assert (answered.complete, answered.tasks[0].schedule.time_zone) == (True, "Asia/Kolkata")
    refused = await refusal(draft(system, text, answers={"schedule.time_zone": "Mars/Base"}))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["answers['schedule.time_zone']"])


async def test_what_cannot_be_a_draft_is_refused(system: GatewaySystem) -> None:
    assert (await refusal(draft(system, ""))).fields == ["text"]
    assert (await refusal(draft(system, "name: " + "x" * 65536))).fields == ["text"]
    assert (await refusal(draft(system, "a: 1", format="xml"))).fields == ["format"]
    assert (await refusal(draft(system, "a: 1", time_zone="Here"))).fields == ["time_zone"]
    assert (await refusal(draft(system, "Please write me a task."))).reason == "MALFORMED_JSON"


async def test_a_strict_schema_has_the_tools_of_the_caller(system: GatewaySystem) -> None:
    """A document of it is drafted without questions, and nulls that are not valid are left out."""
    agent = await system.agent("writer", "tasks:read", "tools:call:weather.*")
    schema = to_python((await agent.tasks.GetTaskSchema(GetTaskSchemaRequest())).schema)
    tools = [form["properties"]["uses"]["enum"][0] for form in schema["$defs"]["step"]["anyOf"] if "uses" in str(form)]
    assert "weather.forecast" in tools
    assert "mail.send" not in tools
    call = {"id": "w", "uses": "weather.forecast", "with": {"city": "Berlin"}}
    step = {**call, "if": None, "timeout": None, "retry": None, "on_error": None}
    schedule = {"triggers": [{"interval": "1h"}], "time_zone": None}
    document = {"name": "tasks/a", "schedule": schedule, "pipeline": {"version": 1, "steps": [step]}}
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    drafted = await draft(system, json.dumps(document))
    assert drafted.complete
    assert to_python(drafted.tasks[0].pipeline)["steps"] == [{**call, "if": None}]
    refused = await refusal(agent.tasks.GetTaskSchema(GetTaskSchemaRequest(tools=["tools/mail.send"])))
    assert refused.fields == ["tools[0]"]
