"""RetryRun: a new run that resumes after the last completed step of a failed or cancelled run."""

from collections.abc import Sequence
from uuid import UUID

from gateway.api.json_values import parse
from gateway.api.resource_names import new_id
from gateway.authentication.caller import Caller, missing_scopes
from gateway.runs.conversion import to_run
from gateway.runs.starter_rights import require_starter_rights
from ordinaut.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, Violation
from ordinaut.names import covers, intersection
from ordinaut.store import identity
from ordinaut.store.runs import retry, run
from ordinaut.store.runs.retry import RetryResult
from ordinaut.store.runs.run import RunRecord
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import RetryRunRequest

RETRIED = frozenset({"FAILED", "CANCELLED"})
ERASED = "ERASED"  # the code in the error of a run without data


async def retry_run(connection: Connection, caller: Caller, named: RunRecord, request: RetryRunRequest) -> Run:
    """Enqueues the retry of a run, in a transaction; the caller has checked access.

    Raises:
        FailedPreconditionError: RUN_STATE, ALREADY_RETRIED, OVERLAP, TASK_STATE.
        InvalidArgumentError: `from_step` is not a step of the document.
        PermissionDeniedError: MISSING_SCOPE: the token limits the run and lacks what a step needs; or the run has no
            task, and its token could do more.
    """
    if named.state not in RETRIED:
        raise FailedPreconditionError(
            ErrorReason.RUN_STATE,
            f"{request.name} must be FAILED or CANCELLED (is {named.state})",
            {"resource": request.name, "state": named.state},
        )
    if (parse(named.error) if named.error else {}).get("code") == ERASED:
        raise _without_task(request.name, "its data have been erased")
    if not named.task_name:
        await _require_rights_of(connection, caller, named)
    result = await _enqueue(connection, caller, named, request)
    if not result.task_exists:
        raise _without_task(request.name, "its task has been deleted")
    if result.run is None:
        live = f"runs/{result.live_run}" if result.live_run else ""
        raise FailedPreconditionError(
            ErrorReason.OVERLAP,
            f"{request.name} cannot be retried while {live or 'another run'} is live",
            {"live_run": live},
        )
    record = await run.get(connection, result.run, steps=False)
    if record is None:
        raise NotFoundError.of(f"runs/{result.run}")
    return to_run(record)


async def _enqueue(connection: Connection, caller: Caller, named: RunRecord, request: RetryRunRequest) -> RetryResult:
    # Only the unique index of retries decides between concurrent calls: the one that loses reads the chain again, and
    # finds the run of the winner.
    while True:
        ended = await _newest(connection, named)
        version = await _version(connection, ended, request)
        kept = await _kept_steps(connection, ended.task, version, request.from_step) if request.from_step else None
        await require_starter_rights(connection, caller, ended.task, version)
        result = await retry.enqueue(
            connection,
            retry_of=ended.id,
            run=new_id(),
            version=version,
            kept=kept,
            starter_scopes=caller.scopes,
        )
        if result.newer is None:
            return result


async def _require_rights_of(connection: Connection, caller: Caller, ended: RunRecord) -> None:
    """Requires the rights of a run without a task: those of the token that started it, which its retry has too."""
    saved = await retry.saved_scopes(connection, ended.task, ended.task_version)
    rights = intersection(saved, await identity.owner_scopes(connection, ended.project, ended.owner))
    if missing := sorted(scope for scope in rights if not covers(caller.scopes, scope)):
        raise missing_scopes(missing, caller.name)


async def _newest(connection: Connection, named: RunRecord) -> RunRecord:
    newest = await retry.newest(connection, named.id)
    if newest == named.id:
        return named
    record = await run.get(connection, newest, steps=False)
    if record is None or record.state not in RETRIED:
        state = "no longer stored" if record is None else record.state
        raise FailedPreconditionError(
            ErrorReason.ALREADY_RETRIED,
            f"runs/{named.id} has been retried: runs/{newest} is {state}",
            {"resource": f"runs/{named.id}", "retry": f"runs/{newest}", "state": state},
        )
    return record


async def _version(connection: Connection, ended: RunRecord, request: RetryRunRequest) -> int:
    if request.version != RetryRunRequest.LATEST:
        return ended.task_version
    version = await retry.latest_version(connection, ended.task) if ended.task_name else None
    if version is None:
        raise _without_task(request.name, "it was started without a task, or its task has been deleted")
    return version


async def _kept_steps(connection: Connection, task: UUID, version: int, from_step: str) -> Sequence[str]:
    """Returns the ids of the steps before `from_step`."""
    ids = await retry.step_ids(connection, task, version)
    if from_step not in ids:
        text = f"must be the id of a step in the document's list `steps`: {', '.join(ids)} (got {from_step!r})"
        raise InvalidArgumentError.of([Violation("from_step", text, ErrorReason.UNRESOLVED_REFERENCE)])
    return ids[: ids.index(from_step)]


def _without_task(name: str, why: str) -> FailedPreconditionError:
    return FailedPreconditionError(ErrorReason.TASK_STATE, f"{name} cannot be retried: {why}", {"resource": name})
