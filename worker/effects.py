"""Steps that the worker performs itself, in the transaction that journals them: exactly once."""

from typing import Any
from uuid import UUID, uuid5

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.names import DOTTED, STATE_KEY, STATE_KEY_MAX, STATE_NAMESPACE, SYSTEM_TOPIC, granted
from ordinaut.store import event, state_entry
from ordinaut.store.sql import Connection
from worker.runs import HeldRun

EVENT_NAMESPACE = UUID("6f726469-6e61-5574-8000-6576656e7400")
MAX_DEPTH = 8


class EffectError(Exception):
    """A failing effect: data for its step alone."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


async def apply(connection: Connection, run: HeldRun, key: str, step: JournalEntry) -> JournalEntry:
    """Performs one effect and completes its journal entry with output or error."""
    given = orjson.loads(step.input or b"{}")
    try:
        output = await PERFORM[step.tool](connection, run, key, given)
    except EffectError as failure:
        step.state = "FAILED"
        step.error = orjson.dumps(
            {
                "code": failure.code,
                "message": str(failure),
                "step": step.path,
                "tool": step.tool,
                "attempt": step.attempt,
                "retryable": False,
                "details": failure.details,
            }
        )
    else:
        step.state = "SUCCEEDED"
        step.output = orjson.dumps(output)
    step.end_us = max(step.end_us, step.start_us)
    return step


async def _emit(connection: Connection, run: HeldRun, key: str, given: dict[str, Any]) -> dict[str, Any]:
    topic = given["topic"]
    if not DOTTED.fullmatch(topic) or topic.startswith(SYSTEM_TOPIC):
        raise EffectError("VALIDATION_INPUT", f"{topic!r} is not a topic that can be published to")
    if not granted(run.scopes, "events:publish", topic):
        raise EffectError("DENIED", f"the task's owner may not publish {topic}")
    if run.depth >= MAX_DEPTH:
        raise EffectError("DENIED", f"{MAX_DEPTH} event-triggered runs stand before this one: the chain ends here")
    uid, _ = await event.publish(
        connection,
        uid=uuid5(EVENT_NAMESPACE, key),
        project=run.project,
        topic=topic,
        source=f"runs/{run.id}",
        subject=given.get("subject", ""),
        event_id=given.get("id", ""),
        data_json=orjson.dumps(given.get("data", {})).decode(),
        publisher=run.owner,
        depth=run.depth,
    )
    return {"event": f"events/{uid}"}


async def _get_state(connection: Connection, run: HeldRun, _key: str, given: dict[str, Any]) -> dict[str, Any]:
    if not granted(run.scopes, "state:read", given["namespace"]):
        raise EffectError("DENIED", f"the task's owner may not read state/{given['namespace']}")
    entry = await state_entry.get(connection, project=run.project, namespace=given["namespace"], key=given["key"])
    if entry is None:
        return {"value": given.get("default"), "revision": 0}
    return {"value": orjson.loads(entry.value), "revision": entry.revision}


async def _put_state(connection: Connection, run: HeldRun, _key: str, given: dict[str, Any]) -> dict[str, Any]:
    namespace, key = given["namespace"], given["key"]
    if not STATE_NAMESPACE.fullmatch(namespace) or not STATE_KEY.fullmatch(key) or len(key) > STATE_KEY_MAX:
        raise EffectError("VALIDATION_INPUT", f"state/{namespace}/{key} is not the name of a state entry")
    if not granted(run.scopes, "state:write", namespace):
        raise EffectError("DENIED", f"the task's owner may not write state/{namespace}")
    entry = await state_entry.put(
        connection,
        project=run.project,
        namespace=namespace,
        key=key,
        value=orjson.dumps(given["value"]).decode(),
        expected=given.get("revision"),
    )
    if entry is None:
        raise EffectError("TOOL_ERROR", f"state/{namespace}/{key} has another revision", expected=given["revision"])
    return {"revision": entry.revision}


PERFORM = {
    "orchestrator.emit": _emit,
    "orchestrator.get_state": _get_state,
    "orchestrator.put_state": _put_state,
}
