"""Validates answers to approvals: the choice, the input against the answer schema, and the edits."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import orjson

from gateway.api.json_values import parse, to_json, to_python
from gateway.api.violations import REASON_MAX, Problems, at_most, one_of, reroot
from gateway.approvals.edits import refused_edits, restored, revealed_values, sealed_fields
from gateway.authentication.caller import Caller
from gateway.clients import EngineClient
from ordinaut.errors import Repair, Violation
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidateValueRequest
from ordinaut.json_places import place_of
from ordinaut.store import tool
from ordinaut.store.database import Database
from ordinaut.store.runs.approval import REJECT, ApprovalRecord, Reply
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest
from ordinaut.v1.error_pb2 import ErrorReason

INPUT_MAX_BYTES = 256 * 1024
EDITED_MAX_BYTES = 1024 * 1024


class AnswerValidator:
    """Validates answers; no transaction is open while an engine validates a value."""

    def __init__(self, database: Database, engines: EngineClient) -> None:
        self._database = database
        self._engines = engines

    async def validate(self, request: AnswerApprovalRequest, caller: Caller, record: ApprovalRecord) -> Reply:
        """Returns the answer as it is stored.

        Raises:
            InvalidArgumentError: with all violations.
            UnavailableError: ENGINE_UNAVAILABLE.
        """
        problems = Problems()
        problems.text("comment", request.comment, REASON_MAX, lines=True)
        if request.choice not in record.choices:
            problems.extend([_unknown_choice(request.choice, record.choices)])
        value = to_json(request.input) if request.HasField("input") else None
        if record.answer_schema is not None and (request.choice != REJECT or value is not None):
            await self._check_value(problems, record.answer_schema, value or "null", "input")
        _check_size(problems, "input", value, INPUT_MAX_BYTES)
        edited = await self._edited(problems, request, record) if request.HasField("edited_input") else None
        problems.check()
        return Reply(caller.name, request.choice, value, edited, request.comment)

    async def _edited(self, problems: Problems, request: AnswerApprovalRequest, record: ApprovalRecord) -> str:
        before = parse(record.data) if record.data is not None else None
        after = restored(before, to_python(request.edited_input))
        refused = refused_edits(before, after, record.editable, "edited_input")
        problems.extend(refused)
        edited = orjson.dumps(after).decode()
        _check_size(problems, "edited_input", edited, EDITED_MAX_BYTES)
        definition = await self._definition(record) if record.tool else {}
        places = [place_of(pointer) for pointer in definition.get("sensitive", ())]
        inputs = [place[1:] for place in places if place[0] == "input"]
        reported = {violation.field for violation in refused}
        revealed = revealed_values(after, inputs, "edited_input")
        problems.extend(violation for violation in revealed if violation.field not in reported)
        schema = definition.get("input_schema")
        if schema is not None and len(edited) <= EDITED_MAX_BYTES:
            hidden = sealed_fields(after, "edited_input")
            await self._check_value(problems, orjson.dumps(schema).decode(), edited, "edited_input", hidden)
        return edited

    async def _definition(self, record: ApprovalRecord) -> dict[str, Any]:
        """Returns the current definition of the guarded tool; empty after the tool was deleted."""
        async with self._database.connection() as connection:
            guarded = await tool.get(connection, record.project, record.tool)
        definition: dict[str, Any] = orjson.loads(guarded.definition) if guarded else {}
        return definition

    async def _check_value(
        self, problems: Problems, schema: str, value: str, field: str, hidden: Sequence[str] = ()
    ) -> None:
        """Adds the problems of a value, except those of `hidden` fields: they are encrypted, the engine checks them."""
        request = ValidateValueRequest(schema=schema.encode(), value=value.encode())
        response = await self._engines.validate_value(request)
        found = reroot(response.violations, field)
        problems.extend(violation for violation in found if not violation.field.startswith(tuple(hidden)))


def _check_size(problems: Problems, field: str, value: str | None, limit: int) -> None:
    if value is not None and (size := len(value.encode())) > limit:
        problems.add(field, at_most(limit, "bytes of JSON", size), ErrorReason.TOO_LARGE)


def _unknown_choice(choice: str, choices: list[str]) -> Violation:
    message = one_of(choices, choice)
    matches = get_close_matches(choice.lower(), choices, 1)
    if not matches:
        return Violation("choice", message)
    operation = {"op": "add", "path": "/choice", "value": matches[0]}
    return Violation("choice", message, repair=Repair(f"Sets the choice `{matches[0]}`.", [operation]))
