"""Suspension: runs that wait leave this worker with their journal and what they wait for, in one transaction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Wait
from ordinaut.names import granted
from ordinaut.store import approval, due_work, wait
from ordinaut.store.sql import Connection
from worker.runs import HeldRun

if TYPE_CHECKING:
    from worker.completion import LastWord


async def suspend(connection: Connection, lease: UUID, words: Sequence["LastWord"]) -> dict[UUID, str]:
    """Suspends the runs that the worker still owns: WAITING, or READY where a result is there already."""
    ids, fences = [word.run.id for word in words], [word.run.fence for word in words]
    mine = await due_work.lock_mine(connection, lease, ids, fences)
    words = [word for word in words if word.run.id in mine]
    steps, named, new, questions = due_work.StepColumns(), [], wait.WaitColumns(), approval.Questions()
    for word in words:
        for seq, entry in enumerate(word.entries, word.run.next_seq):
            steps.add(word.run.id, seq, entry)
        for wish in word.waits:
            named.append((word.run.id, wish.path))
            if wish.kind:
                new.add(word.run.id, wish, _refusal(word.run, wish))
            if wish.kind == wait.APPROVAL:
                questions.add(word.run.id, wish)
        if word.delay_ms:
            new.add(word.run.id, Wait(kind=wait.DELAY, deadline_ms=word.delay_ms))
    await due_work.record_steps(connection, steps)
    await wait.ask(connection, list(mine), named, new)
    await approval.request(connection, questions)
    return await due_work.suspend(connection, lease, ids, fences)


def _refusal(run: HeldRun, wish: Wait) -> bytes:
    """The error of a wait for events that the task's owner may not read; empty when there is none."""
    if wish.kind != "EVENT" or granted(run.scopes, "events:read", wish.topic):
        return b""
    message = f"the task's owner may not read events on {wish.topic}"
    return orjson.dumps({"code": "DENIED", "message": message, "step": wish.path, "tool": wish.tool, "attempt": 1})
