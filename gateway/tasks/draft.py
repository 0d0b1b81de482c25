"""DraftTask: from what was written to the task that was meant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from gateway.api.json_values import to_python
from gateway.api.violations import Problems, at_most, got, one_of
from gateway.authentication.caller import Caller
from gateway.definitions.references import callable_names
from gateway.definitions.validation import TaskValidator
from gateway.drafts.answers import Answers, is_zone
from gateway.drafts.checking import Settler
from gateway.drafts.dialects.registry import FORMATS
from gateway.drafts.draft import Draft
from gateway.drafts.drafting import drafts_of_json, drafts_of_text
from gateway.drafts.habits.context import ToolInfo
from gateway.drafts.response import to_response
from gateway.drafts.strict_schema import strict_schema
from ordinaut.store import tool
from ordinaut.store.database import Database
from ordinaut.store.selection import Order, Selection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_service_pb2 import (
    DraftTaskRequest,
    DraftTaskResponse,
    GetTaskSchemaRequest,
    GetTaskSchemaResponse,
)

DOCUMENT_MAX = 64 * 1024  # bytes
TOOLS_MAX = 1000  # that an unknown name is compared with
ANSWERS_MAX = 100
AT_ONCE = 2  # drafts of one caller that are worked on at the same time
SCHEMA_TOOLS_MAX = 200
TASKS_MAX = 100
BY_NAME = Selection(tool.FIELDS, Order([tool.FIELDS["name"]]))


class _Turns:
    """At most two drafts of a caller at a time: further ones wait, so that a caller slows down only itself."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def take(self, caller: Caller) -> AsyncIterator[None]:
        """Waits for a turn of the caller."""
        key = (caller.project, caller.name)
        turn, waiting = self._turns.get(key, (asyncio.Semaphore(AT_ONCE), 0))
        self._turns[key] = turn, waiting + 1
        try:
            async with turn:
                yield
        finally:
            _, waiting = self._turns.pop(key)
            if waiting > 1:
                self._turns[key] = turn, waiting - 1


class TaskDraft:
    """Implements DraftTask. Nothing is stored."""

    def __init__(self, database: Database, validator: TaskValidator) -> None:
        self._database = database
        self._validator = validator
        self._turns = _Turns()

    async def draft(self, request: DraftTaskRequest, caller: Caller) -> DraftTaskResponse:
        """Returns the tasks of a document with changes, questions and losses.

        Raises:
            InvalidArgumentError: no document, too large, unknown format, or an answer that does not exist.
            UnavailableError: SCHEDULER_UNAVAILABLE or ENGINE_UNAVAILABLE.
        """
        _check(request)
        async with self._turns.take(caller):
            return await self._draft(request, caller)

    async def _draft(self, request: DraftTaskRequest, caller: Caller) -> DraftTaskResponse:
        tools = await self._tools(caller)
        answers = Answers(dict(request.answers), request.time_zone)
        drafts = await asyncio.to_thread(_drafts, request, tools, answers)
        settler = Settler(self._validator, caller.project, caller.name, caller.scopes)
        drafted = []
        for index, draft in enumerate(drafts[:TASKS_MAX]):
            prefix = f"tasks[{index}]." if len(drafts) > 1 else ""
            drafted.append(await settler.settle(draft, answers, prefix))
        answers.check()
        return await asyncio.to_thread(to_response, drafted, request.text)

    async def schema(self, request: GetTaskSchemaRequest, caller: Caller) -> GetTaskSchemaResponse:
        """Returns the strict schema of tasks.

        Raises:
            InvalidArgumentError: a tool does not exist, or the caller may not call it.
        """
        tools = await self._tools(caller)
        names = [name.removeprefix("tools/") for name in request.tools] or list(tools)[:SCHEMA_TOOLS_MAX]
        problems = Problems()
        if len(names) > SCHEMA_TOOLS_MAX:
            problems.add("tools", at_most(SCHEMA_TOOLS_MAX, "tools", len(names)), ErrorReason.TOO_LARGE)
        for index, name in enumerate(names):
            if name not in tools:
                message = f"must be a tool that the caller may call {got(name)}"
                problems.add(f"tools[{index}]", message, ErrorReason.RESOURCE_NOT_FOUND)
        problems.check()
        response = GetTaskSchemaResponse()
        response.schema.update(strict_schema([tools[name] for name in names]))
        return response

    async def _tools(self, caller: Caller) -> dict[str, ToolInfo]:
        async with self._database.connection() as connection:
            records = await tool.list_page(connection, project=caller.project, selection=BY_NAME, size=TOOLS_MAX)
        allowed = set(callable_names(caller.scopes, [record.name for record in records]))
        return {record.name: _info(record.name, record.definition) for record in records if record.name in allowed}


def _check(request: DraftTaskRequest) -> None:
    problems = Problems()
    kind = request.WhichOneof("document")
    size = len(request.text.encode()) if kind == "text" else request.json.ByteSize()
    if kind is None or (kind == "text" and not request.text.strip()):
        problems.add("text", f"a document is required in `text` or `json` {got('')}", ErrorReason.FIELD_REQUIRED)
    elif size > DOCUMENT_MAX:
        problems.add(kind, at_most(DOCUMENT_MAX, "bytes", size), ErrorReason.TOO_LARGE)
    if request.format and request.format not in FORMATS:
        problems.add("format", one_of(FORMATS, request.format))
    if request.time_zone and not is_zone(request.time_zone):
        problems.add("time_zone", f"must be an IANA time zone such as Europe/Berlin {got(request.time_zone)}")
    if len(request.answers) > ANSWERS_MAX:
        problems.add("answers", at_most(ANSWERS_MAX, "answers", len(request.answers)), ErrorReason.TOO_LARGE)
    problems.check()


def _drafts(request: DraftTaskRequest, tools: dict[str, ToolInfo], answers: Answers) -> list[Draft]:
    if request.WhichOneof("document") == "json":
        return drafts_of_json(to_python(request.json), request.format, tools, answers)
    return drafts_of_text(request.text, request.format, tools, answers)


def _info(name: str, text: str) -> ToolInfo:
    definition: dict[str, Any] = orjson.loads(text)
    return ToolInfo(
        name,
        definition.get("effect", "IDEMPOTENT"),
        definition.get("input_schema"),
        definition.get("output_schema"),
        definition.get("http", {}).get("url", ""),
    )
