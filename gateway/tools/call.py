"""CallTool: starts a run with one step and waits until it ends."""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from gateway.api.json_values import fill_struct, to_python
from gateway.api.resource_names import run_id
from gateway.authentication.authenticator import Authenticator
from gateway.authentication.caller import Caller, missing_scope
from gateway.definitions.references import CALL, RUN_PIPELINE, SYSTEM_TOOLS
from gateway.runs.conversion import to_run
from gateway.runs.create import InlineRun
from gateway.runs.watch import RunWatch
from ordinaut.errors import InvalidArgumentError, NotFoundError, Violation
from ordinaut.names import granted
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
    """Implements CallTool."""

    def __init__(
        self, database: Database, inline_run: InlineRun, watch: RunWatch, authenticator: Authenticator
    ) -> None:
        self._database = database
        self._inline_run = inline_run
        self._watch = watch
        self._authenticator = authenticator

    async def call(self, request: CallToolRequest, caller: Caller, name: str, context: Context) -> Run:
        """Returns the run in view BASIC after it has ended, in any final state.

        Raises:
            NotFoundError: the tool does not exist.
            InvalidArgumentError: the input violates the tool's schema.
        """
        _require_call(caller, name)
        async with self._database.connection() as connection:
            if await tool.get(connection, caller.project, name) is None:
                raise NotFoundError.of(request.name)
        create = CreateRunRequest(request_id=request.request_id)
        step = {"id": STEP, "uses": name, "with": _input(name, to_python(request.input))}
        fill_struct(create.pipeline, {"version": 1, "steps": [step], "output": f"${{steps.{STEP}}}"})
        try:
            queued = await self._inline_run.start(create, caller, original=request)
        except InvalidArgumentError as error:
            raise InvalidArgumentError.of(list(_in_request(error.violations))) from None
        return await self._ended(queued, context, name)

    async def _ended(self, queued: Run, context: Context, name: str) -> Run:
        latest = queued
        token_recheck = self._authenticator.token_recheck(context, lambda now: _require_call(now, name))
        async with aclosing(self._watch.watch(run_id(queued.name), token_recheck)) as records:
            async for record in records:
                latest = to_run(replace(record, steps=None))
        return latest


def _require_call(caller: Caller, name: str) -> None:
    if name.startswith(SYSTEM_TOOLS):
        if not granted(caller.scopes, CALL):
            raise missing_scope(CALL)
    else:
        caller.require(CALL, name)


def _input(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns the template that renders to the input; an inline pipeline is not rendered and stays unescaped."""
    is_inline = tool == RUN_PIPELINE and not isinstance(arguments.get("pipeline"), str)
    unescaped = {"pipeline"} if is_inline else set()
    return {key: value if key in unescaped else _literal(value) for key, value in arguments.items()}


def _literal(value: Any) -> Any:
    """Returns the template that renders to `value`.

    >>> _literal({"text": "costs ${5}", "body": "{{ name }}"})
    {'text': 'costs $${5}', 'body': "{${'{'} name }}"}
    """
    match value:
        case str():
            # what opens a placeholder of another language is refused as text
            return value.replace("${", "$${").replace("{{", "{${'{'}").replace("<%", "<${'%'}")
        case list():
            return [_literal(item) for item in value]
        case dict():
            return {key: _literal(item) for key, item in value.items()}
    return value


def _in_request(violations: Sequence[Violation]) -> Iterator[Violation]:
    """Converts paths into the generated pipeline to paths into the request."""
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
