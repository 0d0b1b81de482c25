"""Whether an answer fits its question: the choice, what else was asked for, and what was edited."""

from difflib import get_close_matches
from typing import Any

import orjson

from gateway.api.caller import Caller
from gateway.api.json_values import parse, to_json, to_python
from gateway.api.violations import REASON_MAX, Problems, reroot
from gateway.approvals.edits import refused_edits, with_long_integers
from gateway.clients import Engines
from ordinaut.errors import Repair, Violation
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidateValueRequest
from ordinaut.limits import MAX_JSON_BYTES
from ordinaut.store import tool
from ordinaut.store.approval import REJECT, ApprovalRecord, Reply
from ordinaut.store.database import Database
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest
from ordinaut.v1.error_pb2 import ErrorReason

INPUT_MAX_BYTES = 256 * 1024


class ApprovalCheck:
    """Checks answers; holds no transaction while it asks an engine about schemas."""

    def __init__(self, database: Database, engines: Engines) -> None:
        self._database = database
        self._engines = engines

    async def reply(self, request: AnswerApprovalRequest, caller: Caller, asked: ApprovalRecord) -> Reply:
        """What an answer says, as it is stored.

        Raises:
            InvalidArgumentError: with every problem.
            UnavailableError: ENGINE_UNAVAILABLE.
        """
        problems = Problems()
        problems.text("comment", request.comment, REASON_MAX, lines=True)
        if request.choice not in asked.choices:
            problems.extend([_unknown_choice(request.choice, asked.choices)])
        given = to_json(request.input) if request.HasField("input") else None
        if asked.answer_schema is not None and (request.choice != REJECT or given is not None):
            await self._check_value(problems, asked.answer_schema, given or "null", "input")
        _check_size(problems, "input", given, INPUT_MAX_BYTES)
        edited = await self._edited(problems, request, asked) if request.HasField("edited_input") else None
        problems.check()
        return Reply(caller.name, request.choice, given, edited, request.comment)

    async def _edited(self, problems: Problems, request: AnswerApprovalRequest, asked: ApprovalRecord) -> str:
        before = parse(asked.data) if asked.data is not None else None
        after = with_long_integers(before, to_python(request.edited_input))
        problems.extend(refused_edits(before, after, asked.editable, "edited_input"))
        edited = orjson.dumps(after).decode()
        _check_size(problems, "edited_input", edited, MAX_JSON_BYTES)
        schema = await self._input_schema(asked) if asked.tool else None
        if schema is not None and len(edited) <= MAX_JSON_BYTES:
            await self._check_value(problems, orjson.dumps(schema).decode(), edited, "edited_input")
        return edited

    async def _input_schema(self, asked: ApprovalRecord) -> Any:
        """What the guarded tool takes now; None when there is no such tool any more."""
        async with self._database.connection() as connection:
            found = await tool.get(connection, asked.project, asked.tool)
        return orjson.loads(found.definition).get("input_schema") if found else None

    async def _check_value(self, problems: Problems, schema: str, value: str, field: str) -> None:
        question = ValidateValueRequest(schema=schema.encode(), value=value.encode())
        answer = await self._engines.validate_value(question)
        problems.extend(reroot(answer.violations, field))


def _check_size(problems: Problems, field: str, value: str | None, most: int) -> None:
    if value is not None and len(value.encode()) > most:
        problems.add(field, f"may have {most} bytes of JSON", ErrorReason.TOO_LARGE)


def _unknown_choice(choice: str, choices: list[str]) -> Violation:
    message = f"must be one of {', '.join(choices)}"
    near = get_close_matches(choice.lower(), choices, 1)
    if not near:
        return Violation("choice", message)
    operation = {"op": "add", "path": "/choice", "value": near[0]}
    return Violation("choice", message, repair=Repair(f"Writes `{near[0]}`.", [operation]))
