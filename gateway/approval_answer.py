"""AnswerApproval: who may answer, what fits the question, and the first answer wins."""

from difflib import get_close_matches

import orjson
from google.protobuf.struct_pb2 import Value

from gateway.approval_record import to_approval
from gateway.caller import Caller
from gateway.edits import refused_edits
from gateway.fields import REASON_MAX, Problems
from gateway.peers import Engines
from gateway.requests import Mutation
from gateway.rerooting import reroot
from gateway.values import parse, to_json, to_python
from ordinaut.errors import (
    AbortedError,
    FailedPreconditionError,
    NotFoundError,
    PermissionDeniedError,
    Repair,
    Violation,
)
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidateValueRequest
from ordinaut.store import approval, due_work, run, tool, wait
from ordinaut.store.approval import REJECT, ApprovalRecord, Reply
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.run import TERMINAL
from ordinaut.store.sql import Connection
from ordinaut.v1.approval_pb2 import Approval
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest
from ordinaut.v1.error_pb2 import ErrorReason

INPUT_MAX_BYTES = 256 * 1024
EDITED_MAX_BYTES = 1024 * 1024


class ApprovalAnswer:
    """Checks answers and stores the first one."""

    def __init__(self, database: Database, hints: Hints, engines: Engines) -> None:
        self._database = database
        self._hints = hints
        self._engines = engines

    async def give(
        self, request: AnswerApprovalRequest, caller: Caller, asked: ApprovalRecord, mutation: Mutation[Approval]
    ) -> Approval:
        """Answers an approval that the caller sees.

        Raises:
            PermissionDeniedError: SELF_APPROVAL.
            AbortedError: SUBJECT_MISMATCH.
            FailedPreconditionError: APPROVAL_STATE, RUN_FINISHED.
            InvalidArgumentError: the answer does not fit the question.
        """
        _require_other(caller, asked)
        if asked.state != "PENDING":
            async with self._database.connection() as connection:
                raise await _closed(connection, asked)
        _require_subject(request, asked)
        await self._check(request, asked)
        reply = Reply(
            caller.name,
            request.choice,
            to_json(request.input) if request.HasField("input") else None,
            to_json(request.edited_input) if request.HasField("edited_input") else None,
            request.comment,
        )

        async def work(connection: Connection) -> Approval:
            await due_work.lock(connection, [asked.run])
            given = await approval.answer(connection, asked.id, reply)
            found = await approval.get(connection, asked.id, project=asked.project, agent=None)
            if found is None:
                raise NotFoundError.of(request.name)
            if given is None:
                raise await _closed(connection, found)
            await wait.resolve(connection, [(found.run, found.step, _result(found))])
            return to_approval(found)

        answer = await mutation.once(work)
        self._hints.send(WORK, RUN, OUTBOX)
        return answer

    async def _check(self, request: AnswerApprovalRequest, asked: ApprovalRecord) -> None:
        problems = Problems()
        problems.text("comment", request.comment, REASON_MAX, lines=True)
        if request.choice not in asked.choices:
            problems.extend([_unknown_choice(request.choice, asked.choices)])
        if request.HasField("edited_input"):
            await self._check_edits(problems, request, asked)
        if asked.answer_schema is not None and (request.choice != REJECT or request.HasField("input")):
            await self._check_value(problems, asked.answer_schema, request.input, "input")
        if len(to_json(request.input)) > INPUT_MAX_BYTES:
            problems.add("input", f"may have {INPUT_MAX_BYTES} bytes of JSON", ErrorReason.TOO_LARGE)
        problems.check()

    async def _check_edits(self, problems: Problems, request: AnswerApprovalRequest, asked: ApprovalRecord) -> None:
        before = parse(asked.data) if asked.data is not None else None
        edited = to_python(request.edited_input)
        problems.extend(refused_edits(before, edited, asked.editable, "edited_input"))
        if len(to_json(request.edited_input)) > EDITED_MAX_BYTES:
            problems.add("edited_input", f"may have {EDITED_MAX_BYTES} bytes of JSON", ErrorReason.TOO_LARGE)
            return
        if not asked.tool:
            return
        async with self._database.connection() as connection:
            found = await tool.get(connection, asked.project, asked.tool)
        schema = orjson.loads(found.definition).get("input_schema") if found else None
        if schema is not None:
            await self._check_value(problems, orjson.dumps(schema).decode(), request.edited_input, "edited_input")

    async def _check_value(self, problems: Problems, schema: str, value: Value, field: str) -> None:
        answer = await self._engines.validate_value(
            ValidateValueRequest(schema=schema.encode(), value=to_json(value).encode())
        )
        problems.extend(reroot(answer.violations, field))


def _require_other(caller: Caller, asked: ApprovalRecord) -> None:
    if caller.name == asked.owner and not asked.allow_self:
        raise PermissionDeniedError(
            ErrorReason.SELF_APPROVAL,
            f"{caller.name} owns the run that asks: another agent answers, unless the step says `allow_self: true`",
            {"owner": asked.owner},
        )


def _require_subject(request: AnswerApprovalRequest, asked: ApprovalRecord) -> None:
    if request.subject_hash not in {"", asked.hash}:
        raise AbortedError(
            ErrorReason.SUBJECT_MISMATCH,
            f"{request.name} is about something else than the answer; read it again",
            {"resource": request.name, "subject_hash": asked.hash},
        )


def _unknown_choice(choice: str, choices: list[str]) -> Violation:
    message = f"must be one of {', '.join(choices)}"
    near = get_close_matches(choice.lower(), choices, 1)
    if not near:
        return Violation("choice", message)
    operation = {"op": "add", "path": "/choice", "value": near[0]}
    return Violation("choice", message, repair=Repair(f"Writes `{near[0]}`.", [operation]))


async def _closed(connection: Connection, asked: ApprovalRecord) -> FailedPreconditionError:
    """Why an approval cannot be answered any more."""
    name, state = f"approvals/{asked.id}", "EXPIRED" if asked.state == "PENDING" else asked.state
    if state == "CANCELLED":
        ended = await run.get(connection, asked.run, steps=False)
        if ended is None or ended.state in TERMINAL:
            return FailedPreconditionError(
                ErrorReason.RUN_FINISHED,
                f"the run that waited for {name} has ended",
                {"resource": name, "state": state, "run": f"runs/{asked.run}"},
            )
    return FailedPreconditionError(
        ErrorReason.APPROVAL_STATE, f"{name} is {state}, no longer pending", {"resource": name, "state": state}
    )


def _result(answered: ApprovalRecord) -> str:
    """What the step that asked gets to know."""
    result: dict[str, object] = {
        "status": answered.state.lower(),
        "choice": answered.choice,
        "agent": answered.agent,
        "comment": answered.comment,
        "approval": f"approvals/{answered.id}",
        "time": answered.end_time,
    }
    for name in ("input", "edited_input"):
        text = getattr(answered, name)
        if text is not None:
            result[name] = orjson.Fragment(text)
    return orjson.dumps(result, option=orjson.OPT_UTC_Z).decode()
