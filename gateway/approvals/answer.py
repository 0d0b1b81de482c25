"""AnswerApproval: who may answer, and that the first answer counts."""

import orjson

from gateway.api.caller import Caller
from gateway.api.idempotency import Mutation
from gateway.approvals.answer_check import ApprovalCheck
from gateway.approvals.conversion import to_approval
from ordinaut.errors import AbortedError, FailedPreconditionError, NotFoundError, PermissionDeniedError
from ordinaut.store import approval, due_work_recover, run, wait
from ordinaut.store.approval import ApprovalRecord
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.run import TERMINAL
from ordinaut.store.sql import Connection
from ordinaut.v1.approval_pb2 import Approval
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest
from ordinaut.v1.error_pb2 import ErrorReason


class ApprovalAnswer:
    """Stores the first answer that fits, and wakes the run."""

    def __init__(self, database: Database, hints: Hints, check: ApprovalCheck) -> None:
        self._database = database
        self._hints = hints
        self._check = check

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
        reply = await self._check.reply(request, caller, asked)

        async def work(connection: Connection) -> Approval:
            await due_work_recover.lock(connection, [asked.run])
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
