"""Suspension: runs leave this worker with their journal and their waits, in one transaction."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Wait
from ordinaut.names import granted, idempotency_key
from ordinaut.store.queue import child, due_work_finish, wait
from ordinaut.store.runs import approval
from ordinaut.store.sql import Connection
from worker.effects.child_request import ChildRequest
from worker.effects.child_runs import start
from worker.effects.errors import EffectError
from worker.held_runs import HeldRun
from worker.run_result import RunResult

CHILD, EVENT = "CHILD", "EVENT"


async def suspend(connection: Connection, lease: UUID, batch: Sequence[tuple[HeldRun, RunResult]]) -> dict[UUID, str]:
    """Suspends the runs that the worker still owns.

    Returns:
        WAITING for each of them, or READY if one of its waits has a result already.
    """
    ids, fences = [run.id for run, _ in batch], [run.fence for run, _ in batch]
    owned = await due_work_finish.lock_owned(connection, lease, ids, fences)
    batch = [(run, result) for run, result in batch if run.id in owned]
    children = await _start_children(connection, batch)
    steps, named, new, questions = due_work_finish.StepColumns(), [], wait.WaitColumns(), approval.Questions()
    for run, result in batch:
        steps.add_all(run.id, run.next_seq, result.entries)
        for requested in result.waits:
            named.append((run.id, requested.path))
            if requested.kind:
                new.add(run.id, requested, _error_of(run, requested, children))
            if requested.kind == wait.APPROVAL:
                questions.add(run.id, requested)
        if result.delay_ms:
            new.add(run.id, Wait(kind=wait.DELAY, deadline_ms=result.delay_ms))
    await due_work_finish.record_steps(connection, steps)
    await wait.put(connection, list(owned), named, new)
    await approval.request(connection, questions)
    if children:  # a child that an earlier claim started may have ended already
        await child.settle(connection, [request.child for request in children.values() if request.child is not None])
    return await due_work_finish.suspend(connection, lease, ids, fences)


async def _start_children(
    connection: Connection, batch: Sequence[tuple[HeldRun, RunResult]]
) -> dict[tuple[UUID, str], ChildRequest]:
    """Starts the runs that steps wait for; the requests by run and path of the step."""
    requests = {
        (run.id, requested.path): ChildRequest(
            run=run,
            path=requested.path,
            key=idempotency_key(run.root, requested.path),
            tool=requested.tool,
            input=orjson.loads(requested.input),
            awaited=True,
            pipeline=requested.pipeline.decode(),
            tools=list(requested.tools),
        )
        for run, result in batch
        for requested in result.waits
        if requested.kind == CHILD
    }
    if requests:
        await start(connection, list(requests.values()))
    return requests


def _error_of(run: HeldRun, requested: Wait, children: Mapping[tuple[UUID, str], ChildRequest]) -> bytes:
    """The error with which a new wait ends at once; empty if it is open."""
    error = children[run.id, requested.path].error if requested.kind == CHILD else None
    if requested.kind == EVENT and not granted(run.scopes, "events:read", requested.topic):
        error = EffectError("DENIED", f"the task's owner may not read events on {requested.topic}")
    return error.to_json(requested.path, requested.tool, 1) if error else b""
