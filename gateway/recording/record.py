"""Builds audit records of calls that change something.

Every request with a `request_id` is recorded, except those of NOT_RECORDED: a new method that changes something is
recorded without further code.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.message import Message

from gateway.authentication.caller import Caller
from gateway.authentication.origin import ORIGIN
from gateway.recording.changes import document, patches
from gateway.recording.masking import clean
from ordinaut.v1.run_pb2 import Run

# The data of agents, which change too often and have a history of their own.
NOT_RECORDED = frozenset({"PublishEvent", "BatchPublishEvents", "PutStateEntry", "DeleteStateEntry"})
BATCHES = {"BatchCreateTasksResponse": "tasks"}
RESOURCE_MAX = 600
NOT_IN_RUNS = frozenset({"name", "request_id", "etag", "reason", "input"})  # the input of a tool may be sensitive


def is_recorded(method: str) -> bool:
    """Whether a method with a `request_id` is recorded."""
    return method not in NOT_RECORDED


def method_of(request: Message) -> str:
    """The name of the method with this request."""
    return str(request.DESCRIPTOR.name).removesuffix("Request")


def changes(
    caller: Caller, request: Message, response: Message, before: Message | None, details: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Returns the bodies of the records of a call: one for each resource that it changed.

    `before` is the resource before the change, if it existed; `details` are added to what the resource is afterwards.
    """
    common = {
        **actor(caller),
        "method": method_of(request),
        "request_id": clean(getattr(request, "request_id", "")),
        "outcome": "DONE",
        "reason": clean(getattr(request, "reason", "")),
        "count": 1,
    }
    bodies = []
    for resource, after in _resources(request, response):
        old, new = patches(document(before), after if not details else {**(after or {}), **details})
        bodies.append({**common, "resource": resource, "before": old, "after": new})
    return bodies


def actor(caller: Caller | None) -> dict[str, Any]:
    """Who calls, with which token, and from where."""
    origin = ORIGIN.get()
    source = {"address": origin.address, "user_agent": clean(origin.user_agent)} if origin else {}
    if caller is None:
        return {"agent": "", **source}
    return {
        "agent": caller.name,
        "agent_uid": str(caller.agent_uid or ""),
        "token": caller.token_name,
        "issuers": sorted(caller.issuers | caller.admin_issuers),
        **source,
    }


def named_resource(request: Message) -> str:
    """The resource that a request names; empty if it names none."""
    candidates = [getattr(request, field, "") for field in ("name", "parent")]
    candidates += [getattr(value, "name", "") for field, value in request.ListFields() if field.message_type]
    name = next((name for name in candidates if isinstance(name, str) and name), "")
    return clean(name[:RESOURCE_MAX])


def _resources(request: Message, response: Message) -> Iterator[tuple[str, Any]]:
    if batch := BATCHES.get(response.DESCRIPTOR.name):
        for created in getattr(response, batch):
            yield created.name, document(created)
    elif isinstance(response, Run):
        yield named_resource(request) or response.name, _started(request, response)
    else:
        own_name = getattr(request, "name", "") or getattr(response, "name", "")
        yield own_name or named_resource(request), document(response) if hasattr(response, "name") else None


def _started(request: Message, run: Run) -> dict[str, Any]:
    """The run that a call started or cancelled, with what the call asked for."""
    wanted = document(request)
    fields = {name: value for name, value in wanted.items() if name not in NOT_IN_RUNS} if wanted else {}
    return {"run": run.name, **({"state": Run.State.Name(run.state)} if run.state else {}), **fields}
