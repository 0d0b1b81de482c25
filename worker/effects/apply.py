"""Steps that the worker performs itself, in the transaction that journals them: exactly once, many runs at a time."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Effect, JournalEntry
from ordinaut.limits import MAX_CHAIN_DEPTH
from ordinaut.names import DOTTED, STATE_KEY, STATE_KEY_MAX, STATE_NAMESPACE, SYSTEM_TOPIC, emitted_uid, granted
from ordinaut.store import event, state_entry
from ordinaut.store.sql import Connection
from worker.effects import child_runs
from worker.effects.child_request import Birth
from worker.effects.errors import EffectError
from worker.held_runs import HeldRun


@dataclass(slots=True)
class Deed:
    """One effect of one run: what was asked, and what came of it."""

    run: HeldRun
    key: str
    step: JournalEntry
    given: dict[str, Any]
    outcome: Any = None

    @property
    def state_name(self) -> state_entry.Name:
        """The state entry that it is about."""
        return self.run.project, self.given["namespace"], self.given["key"]


async def perform(connection: Connection, asked: Sequence[tuple[HeldRun, Effect]]) -> dict[UUID, JournalEntry]:
    """Performs one effect for each of some runs, kind by kind; the completed journal entries, by run."""
    by_tool: dict[str, list[Deed]] = defaultdict(list)
    deeds: list[Deed] = []
    for run, effect in asked:
        step = JournalEntry()
        step.CopyFrom(effect.step)
        deed = Deed(run, effect.idempotency_key, step, orjson.loads(step.input or b"{}"))
        deeds.append(deed)
        try:
            ALLOW[step.tool](deed)
        except EffectError as refusal:
            deed.outcome = refusal
        else:
            by_tool[step.tool].append(deed)
    for tool, perform_all in PERFORM.items():
        if by_tool[tool]:
            await perform_all(connection, by_tool[tool])
    return {deed.run.id: _completed(deed) for deed in deeds}


def _completed(deed: Deed) -> JournalEntry:
    step, outcome = deed.step, deed.outcome
    step.end_us = max(step.end_us, step.start_us)
    if not isinstance(outcome, EffectError):
        step.state, step.output = "SUCCEEDED", orjson.dumps(outcome)
        return step
    step.state, step.error = "FAILED", outcome.to_json(step.path, step.tool, step.attempt)
    return step


def _may_emit(deed: Deed) -> None:
    topic = deed.given["topic"]
    if not DOTTED.fullmatch(topic) or topic.startswith(SYSTEM_TOPIC):
        raise EffectError("VALIDATION_INPUT", f"{topic!r} is not a topic that can be published to")
    if not granted(deed.run.scopes, "events:publish", topic):
        raise EffectError("DENIED", f"the task's owner may not publish {topic}")
    if deed.run.depth >= MAX_CHAIN_DEPTH:
        raise EffectError("DENIED", f"maximum run chain depth ({MAX_CHAIN_DEPTH}) exceeded")


def _may_get_state(deed: Deed) -> None:
    if not granted(deed.run.scopes, "state:read", deed.given["namespace"]):
        raise EffectError("DENIED", f"the task's owner may not read state/{deed.given['namespace']}")


def _may_put_state(deed: Deed) -> None:
    namespace, key = deed.given["namespace"], deed.given["key"]
    if not STATE_NAMESPACE.fullmatch(namespace) or not STATE_KEY.fullmatch(key) or len(key) > STATE_KEY_MAX:
        raise EffectError("VALIDATION_INPUT", f"state/{namespace}/{key} is not the name of a state entry")
    if not granted(deed.run.scopes, "state:write", namespace):
        raise EffectError("DENIED", f"the task's owner may not write state/{namespace}")


def _may_run_task(deed: Deed) -> None:
    if deed.given.get("wait"):  # the engine has not seen it in the document: the input as a whole was an expression
        raise EffectError("VALIDATION_INPUT", "`wait` is written in the document, not computed")


async def _emit(connection: Connection, deeds: Sequence[Deed]) -> None:
    """One row of the log for each project; an event with an id of its own goes alone, because it may be a repeat."""
    batches: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for deed in deeds:
        run, given = deed.run, deed.given
        uid = emitted_uid(deed.key)
        new = event.NewEvent(
            uid=uid,
            topic=given["topic"],
            source=f"runs/{run.id}",
            subject=given.get("subject", ""),
            event_id=given.get("id", ""),
            data=given.get("data", {}),
            publisher=f"runs/{run.id}",
            depth=run.depth,
        )
        if new.event_id:
            uid, _ = await event.publish(connection, run.project, new)
        else:
            batches[run.project].append(new.document())
        deed.outcome = {"event": f"events/{uid}"}
    for project, events in batches.items():
        await event.announce(connection, project, events)


async def _get_state(connection: Connection, deeds: Sequence[Deed]) -> None:
    found = await state_entry.get_many(connection, [deed.state_name for deed in deeds])
    for deed, entry in zip(deeds, found, strict=True):
        if entry is None:
            deed.outcome = {"value": deed.given.get("default"), "revision": 0}
        else:
            deed.outcome = {"value": orjson.loads(entry.value), "revision": entry.revision}


async def _put_state(connection: Connection, deeds: Sequence[Deed]) -> None:
    """Deeds on one name go one after another; each round writes a name once."""
    waiting: dict[state_entry.Name, list[Deed]] = defaultdict(list)
    for deed in deeds:
        waiting[deed.state_name].append(deed)
    while waiting:
        turn = {name: some.pop(0) for name, some in waiting.items()}
        waiting = {name: some for name, some in waiting.items() if some}
        values = {
            name: (orjson.dumps(deed.given["value"]).decode(), deed.given.get("revision"))
            for name, deed in turn.items()
        }
        written = await state_entry.put_many(connection, values)
        for name, deed in turn.items():
            deed.outcome = {"revision": written[name].revision} if name in written else _conflict(deed)


def _conflict(deed: Deed) -> EffectError:
    _, namespace, key = deed.state_name
    return EffectError("TOOL_ERROR", f"state/{namespace}/{key} has another revision", expected=deed.given["revision"])


async def _run_task(connection: Connection, deeds: Sequence[Deed]) -> None:
    births = [Birth(deed.run, deed.step.path, deed.key, deed.step.tool, deed.given) for deed in deeds]
    await child_runs.start(connection, births)
    for deed, birth in zip(deeds, births, strict=True):
        deed.outcome = birth.refused or {"run": f"runs/{birth.child}"}


ALLOW: dict[str, Callable[[Deed], None]] = {
    "orchestrator.get_state": _may_get_state,
    "orchestrator.put_state": _may_put_state,
    "orchestrator.emit": _may_emit,
    "orchestrator.run_task": _may_run_task,
}
PERFORM: dict[str, Callable[[Connection, Sequence[Deed]], Awaitable[None]]] = {
    "orchestrator.get_state": _get_state,
    "orchestrator.put_state": _put_state,
    "orchestrator.emit": _emit,
    "orchestrator.run_task": _run_task,
}
