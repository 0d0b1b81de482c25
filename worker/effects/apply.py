"""Steps that the worker executes in the transaction that journals them: exactly once, for many runs at a time."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ordinaut.errors import AlreadyExistsError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import Effect, JournalEntry
from ordinaut.limits import MAX_CHAIN_DEPTH
from ordinaut.names import DOTTED, STATE_KEY, STATE_KEY_MAX, STATE_NAMESPACE, emitted_uid, granted, is_reserved_topic
from ordinaut.store import event, state_entry
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from worker.effects import child_runs
from worker.effects.child_request import ChildRequest
from worker.effects.errors import EffectError
from worker.held_runs import HeldRun


@dataclass(slots=True)
class PendingEffect:
    """One effect of one run, and its result: an output, or the error of the step."""

    run: HeldRun
    key: str
    step: JournalEntry
    input: dict[str, Any]
    result: Any = None

    @property
    def state_name(self) -> state_entry.Name:
        """The state entry that it reads or writes."""
        return self.run.project, self.input["namespace"], self.input["key"]


async def apply_effects(connection: Connection, effects: Sequence[tuple[HeldRun, Effect]]) -> list[JournalEntry]:
    """Applies effects, tool by tool; returns their completed journal entries in the same order.

    Several effects of one run are those of concurrent steps; between the tools they have no order.
    """
    by_tool: dict[str, list[PendingEffect]] = defaultdict(list)
    pending: list[PendingEffect] = []
    for run, request in effects:
        step = JournalEntry()
        step.CopyFrom(request.step)
        effect = PendingEffect(run, request.idempotency_key, step, orjson.loads(step.input or b"{}"))
        pending.append(effect)
        try:
            CHECKS[step.tool](effect)
        except EffectError as error:
            effect.result = error
        else:
            by_tool[step.tool].append(effect)
    for tool, apply_all in APPLY.items():
        if by_tool[tool]:
            await apply_all(connection, by_tool[tool])
    return [_completed(effect) for effect in pending]


def _completed(effect: PendingEffect) -> JournalEntry:
    step, result = effect.step, effect.result
    step.end_us = max(step.end_us, step.start_us)
    if not isinstance(result, EffectError):
        step.state, step.output = "SUCCEEDED", orjson.dumps(result)
        return step
    step.state, step.error = "FAILED", result.to_json(step.path, step.tool, step.attempt)
    return step


def _check_emit(effect: PendingEffect) -> None:
    topic = effect.input["topic"]
    if not DOTTED.fullmatch(topic) or is_reserved_topic(topic):
        raise EffectError("VALIDATION_INPUT", f"{topic!r} is not a topic that can be published to")
    if not granted(effect.run.scopes, "events:publish", topic):
        raise EffectError("DENIED", f"the task's owner may not publish {topic}")
    if effect.run.depth >= MAX_CHAIN_DEPTH:
        raise EffectError("DENIED", f"maximum run chain depth ({MAX_CHAIN_DEPTH}) exceeded")


def _check_get_state(effect: PendingEffect) -> None:
    if not granted(effect.run.scopes, "state:read", effect.input["namespace"]):
        raise EffectError("DENIED", f"the task's owner may not read state/{effect.input['namespace']}")


def _check_put_state(effect: PendingEffect) -> None:
    namespace, key = effect.input["namespace"], effect.input["key"]
    if not STATE_NAMESPACE.fullmatch(namespace) or not STATE_KEY.fullmatch(key) or len(key) > STATE_KEY_MAX:
        raise EffectError("VALIDATION_INPUT", f"state/{namespace}/{key} is not a valid name of a state entry")
    if not granted(effect.run.scopes, "state:write", namespace):
        raise EffectError("DENIED", f"the task's owner may not write state/{namespace}")


def _check_run_task(effect: PendingEffect) -> None:
    if effect.input.get("wait"):  # only possible if the whole input is an expression: the engine did not see `wait`
        raise EffectError("VALIDATION_INPUT", "`wait` must be written in the document, it cannot be computed")


async def _emit(connection: Connection, effects: Sequence[PendingEffect]) -> None:
    """Appends one row to the log for each project, and a separate one for each event with an id, which may repeat."""
    batches: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for effect in effects:
        run, content = effect.run, effect.input
        uid = emitted_uid(effect.key)
        new = event.NewEvent(
            uid=uid,
            topic=content["topic"],
            source=f"runs/{run.id}",
            subject=content.get("subject", ""),
            event_id=content.get("id", ""),
            data=content.get("data", {}),
            publisher=f"runs/{run.id}",
            depth=run.depth,
        )
        if new.event_id:
            effect.result = await _publish_once(connection, run.project, new)
        else:
            batches[run.project].append(new.document())
            effect.result = {"event": f"events/{uid}"}
    for project, events in batches.items():
        await event.announce(connection, project, events)


async def _publish_once(connection: Connection, project: str, new: event.NewEvent) -> dict[str, str] | EffectError:
    try:
        published = await event.publish(connection, project, new)
    except AlreadyExistsError as failure:
        return EffectError("TOOL_ERROR", failure.message, reason=ErrorReason.Name(failure.reason))
    return {"event": f"events/{published.uid}"}


async def _get_state(connection: Connection, effects: Sequence[PendingEffect]) -> None:
    entries = await state_entry.get_many(connection, [effect.state_name for effect in effects])
    for effect, entry in zip(effects, entries, strict=True):
        if entry is None:
            effect.result = {"value": effect.input.get("default"), "revision": 0}
        else:
            effect.result = {"value": orjson.loads(entry.value), "revision": entry.revision}


async def _put_state(connection: Connection, effects: Sequence[PendingEffect]) -> None:
    """Writes each name once per round, so that effects on one name are applied one after another."""
    queues: dict[state_entry.Name, list[PendingEffect]] = defaultdict(list)
    for effect in effects:
        queues[effect.state_name].append(effect)
    while queues:
        batch = {name: queue.pop(0) for name, queue in queues.items()}
        queues = {name: queue for name, queue in queues.items() if queue}
        values = {
            name: (orjson.dumps(effect.input["value"]).decode(), effect.input.get("revision"))
            for name, effect in batch.items()
        }
        written = await state_entry.put_many(connection, values)
        for name, effect in batch.items():
            effect.result = {"revision": written[name].revision} if name in written else _conflict(effect)


def _conflict(effect: PendingEffect) -> EffectError:
    _, namespace, key = effect.state_name
    message = f"state/{namespace}/{key} has another revision"
    return EffectError("TOOL_ERROR", message, expected=effect.input["revision"])


async def _run_task(connection: Connection, effects: Sequence[PendingEffect]) -> None:
    requests = [
        ChildRequest(effect.run, effect.step.path, effect.key, effect.step.tool, effect.input) for effect in effects
    ]
    await child_runs.start(connection, requests)
    for effect, request in zip(effects, requests, strict=True):
        effect.result = request.error or {"run": f"runs/{request.child}"}


CHECKS: dict[str, Callable[[PendingEffect], None]] = {
    "orchestrator.get_state": _check_get_state,
    "orchestrator.put_state": _check_put_state,
    "orchestrator.emit": _check_emit,
    "orchestrator.run_task": _check_run_task,
}
APPLY: dict[str, Callable[[Connection, Sequence[PendingEffect]], Awaitable[None]]] = {
    "orchestrator.get_state": _get_state,
    "orchestrator.put_state": _put_state,
    "orchestrator.emit": _emit,
    "orchestrator.run_task": _run_task,
}
