"""Child runs: started by steps, in the transaction that journals the step or suspends its run.

A step has one child, identified by the step's idempotency key: also when the step is executed again after a crash, in a
retry of its run, or after a restore from a backup.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.expressions.times import parse_duration, parse_timestamp
from ordinaut.limits import MAX_CHAIN_DEPTH, MAX_LIVE_RUNS
from ordinaut.names import WITHOUT_TASK, granted
from ordinaut.store.queue import child
from ordinaut.store.queue.child import ChildColumns, EnqueuedChild, Target
from ordinaut.store.runs import retry, run_limit
from ordinaut.store.sql import Connection
from worker.effects.child_request import ChildRequest
from worker.effects.child_targets import targets_of
from worker.effects.errors import EffectError

RUN_TASK = "orchestrator.run_task"
RUN_A_TASK, RUN_A_DOCUMENT = "tasks:run", "runs:write"
MAX_CHILDREN = 1000
"""Children of one run, including those that have ended."""
FAN_OUT_LIMIT = "FAN_OUT_LIMIT"
OVERLAP = "OVERLAP"
FIRST = datetime(1, 1, 2, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)
NOT_QUEUED = EnqueuedChild(None, None)


async def start(connection: Connection, requests: Sequence[ChildRequest]) -> None:
    """Starts children of locked runs, or reuses those that were started before."""
    existing = await child.newest(connection, [request.child_key for request in requests])
    states = await child.states(connection, list(existing.values())) if existing else {}
    for request in requests:
        if (run := existing.get(request.child_key)) is not None:
            await _reuse(connection, request, run, states.get(run))
    await _start_new(connection, [request for request in requests if request.child_key not in existing])


async def _reuse(connection: Connection, request: ChildRequest, run: UUID, end_state: str | None) -> None:
    """Uses the existing child of a step; one that has failed is retried if the step waits for its end."""
    request.child = run
    if not request.awaited:
        return
    if end_state in {"FAILED", "CANCELLED"}:
        if not _is_permitted(request):
            return
        queued = await retry.enqueue(
            connection, retry_of=run, run=await child.new_id(connection), starter_scopes=request.run.scopes
        )
        retry_run = queued.run or queued.newer
        if retry_run is None:
            request.error = _overlap(request, queued.live_run) if queued.task_exists else _not_found(request)
            return
        request.child = run = retry_run
    await child.adopt(connection, run=run, parent=request.run.id, path=request.path)


async def _start_new(connection: Connection, requests: Sequence[ChildRequest]) -> None:
    requests = [request for request in requests if _is_permitted(request)]
    if not requests:
        return
    targets = await targets_of(connection, requests)
    quota = _Quota(await child.counts(connection, [request.run.id for request in requests]))
    blocking = await _blocking_tasks(connection, requests, targets)
    new, accepted = ChildColumns(), []
    for request in requests:
        try:
            target = _visible(request, targets.get(request.key))
            _reject_deadlock(request, target, blocking)
            quota.take(request, target)
            _add(new, request, target)
        except EffectError as error:
            request.error = error
        else:
            accepted.append(request)
    queued = await child.enqueue(connection, new) if accepted else {}
    for request in accepted:
        answer = queued.get(request.child_key, NOT_QUEUED)
        request.child = answer.run
        if request.child is None:
            request.error = _overlap(request, answer.live_run)
        elif targets[request.key].limited:
            await run_limit.add(connection, run=request.child, scopes=request.run.scopes)


async def _blocking_tasks(
    connection: Connection, requests: Sequence[ChildRequest], targets: Mapping[str, Target]
) -> dict[UUID, set[UUID]]:
    """The tasks that keep new runs buffered until a waiting run ends, by that run; read only if a target buffers."""
    parents = {
        request.run.id
        for request in requests
        if request.awaited and (target := targets.get(request.key)) is not None and target.buffers
    }
    return await child.buffering_tasks(connection, list(parents)) if parents else {}


def _reject_deadlock(request: ChildRequest, target: Target, blocking: Mapping[UUID, set[UUID]]) -> None:
    """Checks that the child would not be buffered until its parent ends, while the parent waits for the child.

    Raises:
        EffectError: neither of them would ever end.
    """
    if target.buffers and request.awaited and target.uid in blocking.get(request.run.id, ()):
        message = f"a live run of tasks/{target.name} waits for this run, so a new one could not start before it ends"
        raise EffectError("TOOL_ERROR", message, reason=OVERLAP)


class _Quota:
    """The children of each run, and the live runs of each task, counted against their limits."""

    def __init__(self, children: dict[UUID, int]) -> None:
        self._children = children
        self._live: dict[UUID, int] = {}

    def take(self, request: ChildRequest, target: Target) -> None:
        """Counts one child.

        Raises:
            EffectError: a limit is reached.
        """
        parent = request.run.id
        children = self._children.get(parent, 0)
        if children >= MAX_CHILDREN:
            message = f"a run can start at most {MAX_CHILDREN} child runs"
            raise EffectError(FAN_OUT_LIMIT, message, limit=MAX_CHILDREN)
        if target.over_quota:
            message = f"{target.owner} or its project has as many live runs as its quota permits"
            raise EffectError("TOOL_ERROR", message, reason="QUOTA_EXCEEDED", quota="live_runs")
        live = self._live.setdefault(target.uid, target.live_runs)
        if live >= MAX_LIVE_RUNS:
            subject = f"tasks/{target.name}" if target.name else f"{target.owner}, in runs without a task,"
            message = f"{subject} can have at most {MAX_LIVE_RUNS} live runs (has {live})"
            raise EffectError(FAN_OUT_LIMIT, message, limit=MAX_LIVE_RUNS)
        self._children[parent] = children + 1
        self._live[target.uid] = live + 1


def _is_permitted(request: ChildRequest) -> bool:
    """Whether the run's owner may start such runs and the chain is not too long; sets the error otherwise."""
    run = request.run
    if run.depth >= MAX_CHAIN_DEPTH:
        request.error = EffectError("DENIED", f"maximum run chain depth ({MAX_CHAIN_DEPTH}) exceeded")
    elif request.task and not granted(run.scopes, RUN_A_TASK, request.task):
        request.error = EffectError("DENIED", f"the task's owner may not run tasks/{request.task}")
    elif not request.task and not granted(run.scopes, RUN_A_DOCUMENT, WITHOUT_TASK):
        request.error = EffectError("DENIED", "the task's owner may not run pipelines without a task")
    return request.error is None


def _visible(request: ChildRequest, target: Target | None) -> Target:
    """The target, if the run's owner may see it.

    Raises:
        EffectError: NOT_FOUND, or the error that the request has already.
    """
    if request.error is not None:
        raise request.error
    if target is None or ("admin" not in request.run.scopes and target.owner != request.run.owner):
        raise _not_found(request)
    return target


def _not_found(request: ChildRequest) -> EffectError:
    return EffectError("NOT_FOUND", f"tasks/{request.task} does not exist", task=f"tasks/{request.task}")


def _overlap(request: ChildRequest, live_run: UUID | None) -> EffectError:
    live = {"live_run": f"runs/{live_run}"} if live_run else {}
    message = f"tasks/{request.task} has a live run, and its overlap policy does not allow another one"
    return EffectError("TOOL_ERROR", message, reason=OVERLAP, **live)


def _add(new: ChildColumns, request: ChildRequest, target: Target) -> None:
    start_time, delay_ms = _start_of(request.input)
    new.parents.append(request.run.id)
    new.paths.append(request.path)
    new.keys.append(request.child_key)
    new.tasks.append(target.uid)
    new.versions.append(target.version)
    new.params.append(orjson.dumps(request.input.get("params") or {}).decode())
    new.start_times.append(start_time)
    new.delays_ms.append(delay_ms)
    new.awaited.append(request.awaited)


def _start_of(step_input: dict[str, Any]) -> tuple[datetime | None, int | None]:
    """The start time, or the delay in milliseconds.

    Raises:
        EffectError: it cannot be read.
    """
    if "delay" in step_input:
        delay = parse_duration(step_input["delay"].strip())
        if delay is None:
            message = f"`delay` must be a duration such as 90s (got {step_input['delay'][:50]!r})"
            raise EffectError("VALIDATION_INPUT", message)
        return None, delay // timedelta(milliseconds=1)
    if "start_time" not in step_input:
        return None, None
    try:
        start_time = parse_timestamp(step_input["start_time"])
    except ExpressionError as failure:
        raise EffectError("VALIDATION_INPUT", f"`start_time`: {failure}") from None
    if not FIRST <= start_time < LAST:
        message = f"`start_time` must be before the year {LAST.year} (got {step_input['start_time'][:50]!r})"
        raise EffectError("VALIDATION_INPUT", message)
    return start_time, None
