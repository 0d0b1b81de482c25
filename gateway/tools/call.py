"""CallTool: a run of one step that the gateway waits for."""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from gateway.api.json_values import fill_struct, to_python
from gateway.api.resource_names import run_id
from gateway.authentication.authenticator import Authenticator
from gateway.authentication.caller import Caller
from gateway.definitions.references import CALL, RUN_PIPELINE, SYSTEM_TOOLS
from gateway.runs.conversion import to_run
from gateway.runs.create import InlineRun
from gateway.runs.watch import RunWatch
from ordinaut.errors import InvalidArgumentError, NotFoundError, Violation
from ordinaut.rpc.interceptor import Context
from ordinaut.store import tool
from ordinaut.store.database import Database
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest
from ordinaut.v1.tool_service_pb2 import CallToolRequest

STEP = "call"
INPUT_FIELD = "pipeline.steps[0].with"
INPUT_POINTER = "/pipeline/steps/0/with"


class ToolCall:
    """CallTool."""

    def __init__(self, database: Database, inline: InlineRun, watch: RunWatch, authenticator: Authenticator) -> None:
        self._database = database
        self._inline = inline
        self._watch = watch
        self._authenticator = authenticator

    async def call(self, request: CallToolRequest, caller: Caller, name: str, context: Context) -> Run:
        """The run in view BASIC once it has ended, however it has.

        Raises:
            NotFoundError: there is no such tool.
            InvalidArgumentError: the input does not fit the tool's schema.
        """
        if not name.startswith(SYSTEM_TOOLS):
            caller.require(CALL, name)
        async with self._database.connection() as connection:
            if await tool.get(connection, caller.project, name) is None:
                raise NotFoundError.of(request.name)
        wanted = CreateRunRequest(request_id=request.request_id)
        step = {"id": STEP, "uses": name, "with": _input(name, to_python(request.input))}
        fill_struct(wanted.pipeline, {"version": 1, "steps": [step], "output": f"${{steps.{STEP}}}"})
        try:
            queued = await self._inline.start(wanted, caller, asked=request)
        except InvalidArgumentError as refused:
            raise InvalidArgumentError.of(list(_retold(refused.violations))) from None
        return await self._ended(queued, context)

    async def _ended(self, queued: Run, context: Context) -> Run:
        latest = queued
        async with aclosing(self._watch.watch(run_id(queued.name), self._authenticator.vigil(context))) as records:
            async for record in records:
                latest = to_run(replace(record, steps=None))
        return latest


def _input(tool: str, given: dict[str, Any]) -> dict[str, Any]:
    """What renders to the input: of a pipeline that is written in a step, nothing is rendered."""
    kept = {"pipeline"} if tool == RUN_PIPELINE and not isinstance(given.get("pipeline"), str) else set()
    return {key: value if key in kept else _literal(value) for key, value in given.items()}


def _literal(value: Any) -> Any:
    """A value that a template renders to `value`."""
    match value:
        case str():
            return value.replace("${", "$${")
        case list():
            return [_literal(item) for item in value]
        case dict():
            return {key: _literal(item) for key, item in value.items()}
    return value


def _retold(violations: Sequence[Violation]) -> Iterator[Violation]:
    """What is wrong with the step's input, as what is wrong with the request's."""
    for violation in violations:
        repair = violation.repair
        if repair is not None:
            moved = [
                {
                    key: value.replace(INPUT_POINTER, "/input", 1) if key in {"path", "from"} else value
                    for key, value in operation.items()
                }
                for operation in repair.operations
            ]
            repair = replace(repair, operations=moved)
        yield replace(violation, field=violation.field.replace(INPUT_FIELD, "input", 1), repair=repair)
