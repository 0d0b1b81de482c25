"""The revision of the meaning of expressions: a stored pipeline keeps the one with which it was accepted."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict

from ordinaut.expressions.semantics import CURRENT, FIRST
from ordinaut.store.queue import definition
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, GetTaskRequest, UpdateTaskRequest, ValidateTaskRequest
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

OLD: dict[str, Any] = {
    "version": 1,
    "steps": [{"id": "a", "if": "'${params.x}' != 'a'", "uses": "orchestrator.set", "with": {"x": 1}}],
}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


async def execute(system: GatewaySystem, statement: str, *arguments: Any) -> None:
    async with system.database.connection() as connection:
        await connection.execute(statement, *arguments)


async def stored(system: GatewaySystem) -> list[tuple[int, int]]:
    """Versions and revisions of the task."""
    async with system.database.connection() as connection:
        rows = await connection.fetch("SELECT version, semantics FROM task_version ORDER BY version")
    return [(row["version"], row["semantics"]) for row in rows]


async def test_a_task_of_an_earlier_release_stays_editable(system: GatewaySystem) -> None:
    """A change elsewhere keeps the document and its revision; the problems are warnings of the answer."""
    created = await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    assert await stored(system) == [(1, CURRENT)]
    statement = "UPDATE task_version SET pipeline = $1::jsonb, semantics = $2"
    await execute(system, statement, orjson.dumps(OLD).decode(), FIRST)

    async def update(paths: list[str], **fields: Any) -> Task:
        task = ParseDict({"name": "tasks/one", **fields}, Task())
        request = UpdateTaskRequest(task=task, update_mask=FieldMask(paths=paths))
        answer: Task = await system.admin.tasks.UpdateTask(request)
        return answer

    changed = await update(["params"], params={"x": 2})
    assert changed.version == 2
    assert any("placeholder" in warning for warning in changed.warnings)
    assert await stored(system) == [(1, FIRST), (2, FIRST)]
    async with system.database.connection() as connection:
        loaded = await definition.load(
            connection, project="default", owner="agents/admin", task=UUID(created.uid), version=2
        )
    assert loaded.message.semantics == FIRST

    whole = await system.admin.tasks.GetTask(GetTaskRequest(name="tasks/one"))
    whole.run_policy.priority = 2
    whole.ClearField("warnings")
    assert (await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=whole))).version == 3

    refused = await refusal(
        update(["pipeline"], pipeline={**OLD, "steps": [*OLD["steps"], {**OLD["steps"][0], "id": "b"}]})
    )
    assert refused.fields == ["task.pipeline.steps[0].if", "task.pipeline.steps[1].if"]
    refused = await refusal(system.admin.tasks.ValidateTask(ValidateTaskRequest(task=Task(pipeline=whole.pipeline))))
    assert "task.pipeline.steps[0].if" in refused.fields

    fixed = {**OLD, "steps": [{**OLD["steps"][0], "if": "params.x != 2"}]}
    assert (await update(["pipeline"], pipeline=fixed)).version == 4
    assert (await stored(system))[-2:] == [(3, FIRST), (4, CURRENT)]


async def test_a_change_that_causes_a_problem_is_refused(system: GatewaySystem) -> None:
    """Also when the pipeline stays the same: here the schema of the params loses one that the pipeline reads."""
    pipeline = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"x": "${params.x}"}}]}
    schema = {"type": "object", "properties": {"x": {}}, "additionalProperties": False}
    task = a_task(pipeline=pipeline, params={}, params_schema=schema)
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="one"))
    other = ParseDict({"name": "tasks/one", "params_schema": {**schema, "properties": {"y": {}}}}, Task())
    request = UpdateTaskRequest(task=other, update_mask=FieldMask(paths=["params_schema"]))
    refused = await refusal(system.admin.tasks.UpdateTask(request))
    assert refused.fields == ["task.pipeline.steps[0].with.x"]
