"""Requests from path, query, body and headers: one document, read once; masks say what was sent."""

import itertools
import json
from typing import Any

import pytest
from google.api.field_behavior_pb2 import REQUIRED
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.field_masks import masked_paths
from gateway.api.json_values import to_python
from gateway.api.violations import Problems
from gateway.rest.openapi.schemas import behaviors
from gateway.rest.transcoding.assembly import assemble
from gateway.rest.transcoding.body import Body
from gateway.rest.transcoding.headers import Headers
from gateway.rest.transcoding.preconditions import Preconditions
from gateway.rest.transcoding.routes import Route, RouteTable
from gateway.services import DESCRIPTORS

ROUTES = {route.method.name: route for route in RouteTable(DESCRIPTORS).routes}
BODY = Body(b"{}")
NONE = Preconditions("", "", "")
WRITABLE = ["description", "display_name", "labels", "schedule", "pipeline", "params", "run_policy", "params_schema"]
JSON_NAMES = {"display_name": "displayName", "run_policy": "runPolicy", "params_schema": "paramsSchema"}
VALUES = {"description": "x", "display_name": "x"}


def made(name: str, body: Any = None, query: str = "", values: dict[str, str] | None = None) -> Any:
    sent = None if body is None else Body(json.dumps(body).encode())
    request, problems, _ = assemble(ROUTES[name], values or {}, query.encode(), sent, NONE)
    assert not problems
    return request


def refused(name: str, body: Any = None, query: str = "", values: dict[str, str] | None = None) -> set[str]:
    sent = None if body is None else Body(json.dumps(body).encode())
    _, problems, _ = assemble(ROUTES[name], values or {}, query.encode(), sent, NONE)
    return {violation.field for violation in problems}


@given(fields=st.sets(st.sampled_from(WRITABLE)), camel=st.booleans(), clear=st.booleans())
def test_the_mask_consists_of_the_fields_that_were_sent(fields: set[str], camel: bool, clear: bool) -> None:
    """Set or cleared, in either spelling; fields that callers cannot change are left to the gateway to refuse."""
    body: dict[str, Any] = {
        JSON_NAMES.get(key, key) if camel else key: None if clear else VALUES.get(key, {}) for key in fields
    }
    request = made("UpdateTask", {**body, "etag": '"1"', "owner": None}, values={"task.name": "tasks/a"})
    paths = {key if clear or key in VALUES else f"{key}.*" for key in fields}  # an empty object changes nothing
    assert set(request.update_mask.paths) == paths
    assert (request.task.name, request.task.etag) == ("tasks/a", '"1"')


def test_the_mask_consists_of_the_values_in_the_body() -> None:
    """Of messages, the fields; of maps and free JSON, the entries; a null is named and removed from the request."""
    body = {
        "schedule": {"timeZone": "Asia/Tokyo", "startTime": None, "triggers": []},
        "run_policy": {"priority": 0, "retry": {"delay": "1s"}, "overlap": {}},
        "labels": {"a": "1", "b.c": None},
        "params": {"x": {"y": None, "z": [None]}},
    }
    request = made("UpdateTask", body)
    assert list(request.update_mask.paths) == [
        "schedule.time_zone", "schedule.start_time", "schedule.triggers", "run_policy.priority",
        "run_policy.retry.delay", "run_policy.overlap.*", "labels.*", "labels.`b.c`", "params.*", "params.x.y",
    ]  # fmt: skip
    assert dict(request.task.labels) == {"a": "1"}
    assert to_python(request.task.params) == {"x": {"z": [None]}}


def test_the_mask_of_every_patch_is_writable() -> None:
    """Tools and agents as well: nested messages, the transport, lists as wholes."""
    http = {"url": "http://x", "headers": {"A": None}, "auth": {"bearer": None, "basic": {"user": "u"}}}
    for name, body in {
        "UpdateTool": {"http": http, "timeouts": {"run": None}, "input_schema": {"type": None}},
        "UpdateAgent": {"display_name": None, "scopes": []},
    }.items():
        request, problems = made(name, body), Problems()
        masked_paths(problems, getattr(request, ROUTES[name].body), request.update_mask)
        assert request.update_mask.paths
        assert not problems.violations


def required_fields(route: Route) -> set[str]:
    """The required fields of a body that the path does not set."""
    bound = {path for path, _ in route.template.variables}
    return {field.name for field in route.request.fields if REQUIRED in behaviors(field)} - bound


OPTIONAL_BODIES = sorted(name for name, route in ROUTES.items() if route.body == "*" and not required_fields(route))


def test_the_methods_with_an_optional_body_include_the_commands() -> None:
    assert {"RunTask", "RetryRun", "PauseTask", "ResumeTask", "CancelRun"} <= set(OPTIONAL_BODIES)


@pytest.mark.parametrize("name", OPTIONAL_BODIES)
@pytest.mark.parametrize("content", [None, b"{}", b"null"])
def test_an_optional_body_may_be_empty(name: str, content: bytes | None) -> None:
    values = {path: f"{path}s/x" for path, _ in ROUTES[name].template.variables}
    sent = None if content is None else Body(content)
    request, problems, _ = assemble(ROUTES[name], values, b"", sent, NONE)
    assert not problems
    assert {field.name for field, _ in request.ListFields()} == set(values)


def test_an_explicit_mask_is_used() -> None:
    request = made("UpdateTask", {"description": "x"}, "update_mask=displayName,run_policy.priority")
    assert list(request.update_mask.paths) == ["display_name", "run_policy.priority"]
    request = made("UpdateTask", {"params": {"x": None}}, "update_mask=runPolicy,params.%60aB,c%60,params")
    assert list(request.update_mask.paths) == ["run_policy", "params.`aB,c`", "params"]
    assert to_python(request.task.params) == {"x": None}


@pytest.mark.parametrize(
    ("query", "states", "size"),
    [
        ("states=QUEUED&states=RUNNING&page_size=7", [1, 2], 7),
        ("pageSize=7&states=1", [1], 7),
        ("task=tasks%2Fa&", [], 0),
    ],
)
def test_parameters(query: str, states: list[int], size: int) -> None:
    request = made("ListRuns", query=query)
    assert (list(request.states), request.page_size) == (states, size)


def test_an_unset_number_is_not_zero() -> None:
    """Optional fields keep the difference."""
    assert not made("WatchEvents").HasField("after_position")
    assert made("WatchEvents", query="after_position=0").HasField("after_position")
    assert made("WatchEvents", query=f"after_position={2**63 - 1}").after_position == 2**63 - 1


@pytest.mark.parametrize(
    ("name", "body", "query", "fields"),
    [
        ("ListRuns", None, "states=QUEUE", {"states[0]"}),
        ("ListRuns", None, "page_size=1.5", {"page_size"}),
        ("ListRuns", None, "page_size=", {"page_size"}),
        ("ListRuns", None, f"page_size={2**31}", {"page_size"}),
        ("ListRuns", None, "page_size.x=1&colour=1", {"page_size.x", "colour"}),
        ("WatchEvents", None, f"after_position={2**63}", {"after_position"}),
        ("CreateTask", {}, "task=1&task.name=x", {"task", "task.name"}),
        ("CreateTask", [], "", {"task"}),
        ("RunTask", [], "", {""}),
        ("RunTask", {"params": [1]}, "priority=1", {"params", "priority"}),
    ],
)
def test_violations_of_query_parameters(name: str, body: Any, query: str, fields: set[str]) -> None:
    assert refused(name, body, query) == fields


def test_the_body_may_repeat_but_not_contradict_the_path() -> None:
    values = {"task.name": "tasks/a"}
    assert made("UpdateTask", {"name": "tasks/a"}, values=values).task.name == "tasks/a"
    assert refused("UpdateTask", {"name": "tasks/b"}, values=values) == {"task.name"}


HEADERS = {
    "If-Match": (b"if-match", b'"3"'),
    "If-None-Match": (b"if-none-match", b"*"),
    "Idempotency-Key": (b"idempotency-key", b"k"),
}


def outcome(route: Route, chosen: tuple[str, ...]) -> tuple[Any, set[str]]:
    """The request, or the fields of what was refused."""
    conditions = Preconditions.of(Headers([HEADERS[name] for name in chosen]))
    request, problems, _ = assemble(route, {}, b"", BODY if route.body else None, conditions)
    return None if problems else request, {violation.field for violation in problems}


@pytest.mark.parametrize("chosen", [pair for size in (1, 2, 3) for pair in itertools.combinations(HEADERS, size)])
def test_headers_set_fields_or_are_refused(chosen: tuple[str, ...]) -> None:
    """No method ever ignores a condition."""
    for route in ROUTES.values():
        request, problems = outcome(route, chosen)
        if request is None:
            assert problems & set(chosen)
            continue
        if "Idempotency-Key" in chosen:
            assert request.request_id == "k"
        if "If-Match" in chosen and route.verb != "GET":
            holder = (
                request if {"etag", "revision"} & set(route.request.fields_by_name) else getattr(request, route.body)
            )
            assert getattr(holder, "etag", "") == '"3"' or holder.revision == 3


def test_lists_of_headers() -> None:
    headers = Headers(
        [(b"accept", b"text/html, text/event-stream;q=0.5"), (b"accept-encoding", b"br, gzip; q=0"), (b"x", b"\xff")]
    )
    assert headers.accepts(b"accept", "text/event-stream")
    assert not headers.accepts(b"accept-encoding", "gzip")
    assert headers.all(b"x") == []
