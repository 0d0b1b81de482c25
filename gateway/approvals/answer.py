"""AnswerApproval: the first valid answer decides; the owner of the run may answer only if the step allows it."""

from collections.abc import Mapping

import orjson

from gateway.api.idempotency import Mutation
from gateway.api.violations import got
from gateway.approvals.answer_validation import AnswerValidator
from gateway.approvals.conversion import to_approval
from gateway.authentication.caller import Caller
from ordinaut.errors import AbortedError, FailedPreconditionError, NotFoundError, PermissionDeniedError
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.queue import due_work_recover, wait
from ordinaut.store.runs import approval, run
from ordinaut.store.runs.approval import ApprovalRecord, Requesters
from ordinaut.store.runs.run import TERMINAL
from ordinaut.store.sql import Connection
from ordinaut.v1.approval_pb2 import Approval
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest
from ordinaut.v1.error_pb2 import ErrorReason


class ApprovalAnswer:
    """Implements AnswerApproval."""

    def __init__(self, database: Database, hints: Hints, validator: AnswerValidator) -> None:
        self._database = database
        self._hints = hints
        self._validator = validator

    async def answer(
        self, request: AnswerApprovalRequest, caller: Caller, record: ApprovalRecord, mutation: Mutation[Approval]
    ) -> Approval:
        """Stores the answer to an approval that the caller may see, and wakes the run.

        Raises:
            PermissionDeniedError: SELF_APPROVAL.
            AbortedError: SUBJECT_MISMATCH.
            FailedPreconditionError: APPROVAL_STATE, RUN_FINISHED.
            InvalidArgumentError: the answer is not one that the approval accepts.
        """
        async with self._database.connection() as connection:
            _require_other_agent(caller, record, await approval.requesters(connection, record.run))
        if record.state != "PENDING":
            async with self._database.connection() as connection:
                raise await _not_pending(connection, record)
        _require_subject(request, record)
        reply = await self._validator.validate(request, caller, record)
        mutation.replaces(to_approval(record))

        async def work(connection: Connection) -> Approval:
            await due_work_recover.lock(connection, [record.run])
            answered = await approval.answer(connection, record.id, reply)
            current = await approval.get(connection, record.id, project=record.project, agent=None)
            if current is None:
                raise NotFoundError.of(request.name)
            if answered is None:
                raise await _not_pending(connection, current)
            await wait.resolve(connection, [(current.run, current.step, _step_result(current))])
            return to_approval(current)

        response = await mutation.execute(work)
        self._hints.send(WORK, RUN, OUTBOX)
        return response


def _require_other_agent(caller: Caller, record: ApprovalRecord, requesters: Requesters) -> None:
    """Requires an answer of another agent than those that ask, and with a token that none of them has made.

    A token that an admin made counts only if it is younger than the run: one admin can set up an installation, but
    cannot make a token after asking.
    """
    if record.allow_self:
        return
    owners = requesters.owners | {record.owner}
    if caller.name in owners:
        raise _self_approval(record, f"{caller.name} owns the run", {"via": "agent"})
    is_younger = requesters.since is None or caller.token_since is None or caller.token_since > requesters.since
    issuers = (caller.issuers | caller.admin_issuers if is_younger else caller.issuers) & owners
    if issuers:
        issuer = min(issuers)
        facts = {"via": "issuer", "issuer": issuer}
        raise _self_approval(record, f"the token descends from one of {issuer}, which owns the run,", facts)


def _self_approval(record: ApprovalRecord, why: str, facts: Mapping[str, str]) -> PermissionDeniedError:
    return PermissionDeniedError(
        ErrorReason.SELF_APPROVAL,
        f"{why} and cannot answer its approval unless the step sets `allow_self: true`",
        {"owner": record.owner, **facts},
    )


def _require_subject(request: AnswerApprovalRequest, record: ApprovalRecord) -> None:
    if request.subject_hash not in {"", record.hash}:
        raise AbortedError(
            ErrorReason.SUBJECT_MISMATCH,
            f"the subject of {request.name} has hash {record.hash} {got(request.subject_hash)}; read it again",
            {"resource": request.name, "subject_hash": record.hash},
        )


async def _not_pending(connection: Connection, record: ApprovalRecord) -> FailedPreconditionError:
    """Returns why an approval can no longer be answered."""
    name, state = f"approvals/{record.id}", "EXPIRED" if record.state == "PENDING" else record.state
    if state == "CANCELLED":
        ended = await run.get(connection, record.run, steps=False)
        if ended is None or ended.state in TERMINAL:
            return FailedPreconditionError(
                ErrorReason.RUN_FINISHED,
                f"{name} cannot be answered: its run has ended",
                {"resource": name, "state": state, "run": f"runs/{record.run}"},
            )
    return FailedPreconditionError(
        ErrorReason.APPROVAL_STATE, f"{name} must be PENDING (is {state})", {"resource": name, "state": state}
    )


def _step_result(record: ApprovalRecord) -> str:
    """Returns the result of the step that requested the approval, as JSON."""
    result: dict[str, object] = {
        "status": record.state.lower(),
        "choice": record.choice,
        "agent": record.agent,
        "comment": record.comment,
        "approval": f"approvals/{record.id}",
        "time": record.end_time,
    }
    for name in ("input", "edited_input"):
        text = getattr(record, name)
        if text is not None:
            result[name] = orjson.Fragment(text)
    return orjson.dumps(result, option=orjson.OPT_UTC_Z).decode()
