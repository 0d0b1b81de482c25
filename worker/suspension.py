"""Suspension: runs that wait leave this worker with their journal and what they wait for, in one transaction."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Wait
from ordinaut.names import granted, idempotency_key
from ordinaut.store import approval, child, due_work, wait
from ordinaut.store.sql import Connection
from worker.effects.child_request import Birth
from worker.effects.child_runs import start
from worker.effects.errors import EffectError
from worker.held_runs import HeldRun

if TYPE_CHECKING:
    from worker.completion import LastWord

CHILD, EVENT = "CHILD", "EVENT"


async def suspend(connection: Connection, lease: UUID, words: Sequence["LastWord"]) -> dict[UUID, str]:
    """Suspends the runs that the worker still owns: WAITING, or READY where a result is there already."""
    ids, fences = [word.run.id for word in words], [word.run.fence for word in words]
    mine = await due_work.lock_mine(connection, lease, ids, fences)
    words = [word for word in words if word.run.id in mine]
    births = await _give_birth(connection, words)
    steps, named, new, questions = due_work.StepColumns(), [], wait.WaitColumns(), approval.Questions()
    for word in words:
        for seq, entry in enumerate(word.entries, word.run.next_seq):
            steps.add(word.run.id, seq, entry)
        for wish in word.waits:
            named.append((word.run.id, wish.path))
            if wish.kind:
                new.add(word.run.id, wish, _refusal(word.run, wish, births))
            if wish.kind == wait.APPROVAL:
                questions.add(word.run.id, wish)
        if word.delay_ms:
            new.add(word.run.id, Wait(kind=wait.DELAY, deadline_ms=word.delay_ms))
    await due_work.record_steps(connection, steps)
    await wait.put(connection, list(mine), named, new)
    await approval.request(connection, questions)
    if births:  # a child that was started before may have ended already
        await child.settle(connection, [birth.child for birth in births.values() if birth.child is not None])
    return await due_work.suspend(connection, lease, ids, fences)


async def _give_birth(connection: Connection, words: Sequence["LastWord"]) -> dict[tuple[UUID, str], Birth]:
    """Starts the runs that steps wait for from now on, by run and path of the step."""
    births = {
        (word.run.id, wish.path): Birth(
            run=word.run,
            path=wish.path,
            key=idempotency_key(word.run.root, wish.path),
            tool=wish.tool,
            given=orjson.loads(wish.input),
            awaited=True,
            pipeline=wish.pipeline.decode(),
            tools=list(wish.tools),
        )
        for word in words
        for wish in word.waits
        if wish.kind == CHILD
    }
    if births:
        await start(connection, list(births.values()))
    return births


def _refusal(run: HeldRun, wish: Wait, births: Mapping[tuple[UUID, str], Birth]) -> bytes:
    """The error of a wait that is over before it begins; empty when there is none."""
    refused = births[run.id, wish.path].refused if wish.kind == CHILD else None
    if wish.kind == EVENT and not granted(run.scopes, "events:read", wish.topic):
        refused = EffectError("DENIED", f"the task's owner may not read events on {wish.topic}")
    return refused.to_json(wish.path, wish.tool, 1) if refused else b""
