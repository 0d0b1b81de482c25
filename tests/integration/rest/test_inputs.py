"""What bad input gets over HTTP: for each kind a request, and the status, reason and field of its answer."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.integration.conftest import fresh_database
from tests.integration.support.rest_system import JSON, TASK, RestSystem, rest_system

pytestmark = pytest.mark.asyncio(loop_scope="module")
YAML = {"content-type": "application/yaml"}
TOKEN = f"ord_{'0' * 16}_{'0' * 64}"
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Row:
    """One kind of bad input, and what it gets; `field` is a field that must be among the violations."""

    says: str
    verb: str
    path: str
    status: int
    reason: str
    data: bytes | None = None
    field: str = ""
    headers: Mapping[str, str] | None = None


def event(says: str, data: bytes, reason: str, place: str = "", status: int = 400) -> Row:
    """A row about the data of an event."""
    body = b'{"topic": "a.b", "data": ' + data + b"}"
    return Row(says, "POST", "/v1/events", status, reason, body, place)


ROWS = [
    Row("empty body", "POST", "/v1/events", 400, "MALFORMED_JSON", b""),
    Row("blank body", "POST", "/v1/events", 400, "MALFORMED_JSON", b" \n"),
    Row("not JSON", "POST", "/v1/events", 400, "MALFORMED_JSON", b"{topic: a}"),
    Row("two documents", "POST", "/v1/events", 400, "MALFORMED_JSON", b"{} {}"),
    Row("UTF-16", "POST", "/v1/events", 400, "MALFORMED_JSON", "{}".encode("utf-16")),
    Row("UTF-16", "POST", "/v1/events", 400, "MALFORMED_JSON", '{"topic": "a"}'.encode("utf-16")),
    Row("UTF-16 without mark", "POST", "/v1/events", 400, "MALFORMED_JSON", '{"topic": "a"}'.encode("utf-16-le")),
    Row("not UTF-8", "POST", "/v1/events", 400, "INVALID_UNICODE", b'{"topic": "\xff"}'),
    Row("no object", "POST", "/v1/events", 400, "FIELD_INVALID", b"[]", "event"),
    Row("just NaN", "POST", "/v1/events", 400, "NON_FINITE_NUMBER", b"NaN", "event"),
    event("depth 65", b"[" * 65 + b"]" * 65, "JSON_TOO_DEEP"),
    event("depth 100 000", b"[" * 100_000, "JSON_TOO_DEEP"),
    event("deeper than protobuf", b'{"a":' * 40 + b"1" + b"}" * 40, "JSON_TOO_DEEP", "event.data" + ".a" * 33),
    event("NaN", b'{"x": NaN}', "NON_FINITE_NUMBER", "event.data.x"),
    event("Infinity", b'{"x": [1, -Infinity]}', "NON_FINITE_NUMBER", "event.data.x[1]"),
    event("1e400", b'{"x": 1e400}', "NUMBER_OUT_OF_RANGE", "event.data.x"),
    event("5 000 digits", b'{"x": ' + b"9" * 5000 + b"}", "NUMBER_OUT_OF_RANGE", "event.data.x"),
    event("2^53", b'{"x": 9007199254740992}', "INTEGER_PRECISION", "event.data.x"),
    event("duplicate key", b'{"x": {"y": 1, "y": 2}}', "DUPLICATE_KEY", "event.data.x.y"),
    event("NUL", b'{"x": "a\\u0000"}', "NUL_CHARACTER", "event.data.x"),
    event("lone surrogate", b'{"x": "\\ud800"}', "INVALID_UNICODE", "event.data.x"),
    event("lone surrogate in a key", b'{"\\udfff": 1}', "INVALID_UNICODE", "event.data"),
    event("no object", b"[1]", "FIELD_INVALID", "event.data"),
    event("too large for its field", json.dumps({"x": "y" * MEBIBYTE}).encode(), "TOO_LARGE", "event.data"),
    Row("unknown field", "POST", "/v1/events", 400, "UNKNOWN_FIELD", b'{"topics": "a.b"}', "event.topics"),
    Row("both spellings", "POST", "/v1/tasks", 400, "DUPLICATE_KEY",
        b'{"display_name": "a", "displayName": "b"}', "task.displayName"),
    Row("text for a number", "POST", "/v1/tasks", 400, "FIELD_INVALID",
        b'{"run_policy": {"priority": "1"}}', "task.run_policy.priority"),
    Row("number for a text", "POST", "/v1/events", 400, "FIELD_INVALID", b'{"topic": 3}', "event.topic"),
    Row("fraction for an integer", "POST", "/v1/tasks", 400, "FIELD_INVALID",
        b'{"run_policy": {"priority": 1.5}}', "task.run_policy.priority"),
    Row("beyond 32 bits", "POST", "/v1/tasks", 400, "NUMBER_OUT_OF_RANGE",
        b'{"run_policy": {"priority": 4294967296}}', "task.run_policy.priority"),
    Row("list for an object", "POST", "/v1/tasks", 400, "FIELD_INVALID", b'{"schedule": []}', "task.schedule"),
    Row("object for a list", "POST", "/v1/tasks", 400, "FIELD_INVALID",
        b'{"schedule": {"triggers": {}}}', "task.schedule.triggers"),
    Row("null in a list", "POST", "/v1/tasks", 400, "FIELD_INVALID",
        b'{"schedule": {"triggers": [null]}}', "task.schedule.triggers[0]"),
    Row("alternatives", "POST", "/v1/tasks", 400, "FIELD_INVALID",
        b'{"schedule": {"triggers": [{"cron": "@daily", "interval": "1h"}]}}', "task.schedule.triggers[0].interval"),
    Row("unknown value", "POST", "/v1/tools", 400, "FIELD_INVALID", b'{"effect": "read"}', "tool.effect"),
    Row("no duration", "POST", "/v1/tasks", 400, "FIELD_INVALID",
        b'{"run_policy": {"run_timeout": "1 fortnight"}}', "task.run_policy.run_timeout"),
    Row("no moment", "POST", "/v1/tasks", 400, "FIELD_INVALID",
        b'{"schedule": {"start_time": "tomorrow"}}', "task.schedule.start_time"),
    Row("not writable", "POST", "/v1/tasks", 400, "FIELD_NOT_WRITABLE",
        b'{"owner": "agents/admin", "version": 7}', "task.owner"),
    Row("form", "POST", "/v1/events", 415, "UNSUPPORTED_MEDIA_TYPE", b"topic=a.b",
        headers={"content-type": "application/x-www-form-urlencoded"}),
    Row("charset", "POST", "/v1/events", 415, "UNSUPPORTED_MEDIA_TYPE", b"{}",
        headers={"content-type": "application/json; charset=latin-1"}),
    Row("encoding", "POST", "/v1/events", 415, "UNSUPPORTED_MEDIA_TYPE", b"{}",
        headers={**JSON, "content-encoding": "br"}),
    Row("not gzip", "POST", "/v1/events", 400, "MALFORMED_JSON", b"{}", headers={**JSON, "content-encoding": "gzip"}),
    Row("gzip bomb", "POST", "/v1/events", 413, "TOO_LARGE", gzip.compress(b" " * 64 * MEBIBYTE),
        headers={**JSON, "content-encoding": "gzip"}),
    Row("4 MiB and a byte", "POST", "/v1/events", 413, "TOO_LARGE", b" " * (4 * MEBIBYTE + 1)),
    Row("YAML of a MiB and a byte", "POST", "/v1/events", 413, "TOO_LARGE", b" " * (MEBIBYTE + 1), headers=YAML),
    Row("alias", "POST", "/v1/events", 400, "MALFORMED_JSON", b"topic: &t a.b\nsource: *t\n", headers=YAML),
    Row("YAML type", "POST", "/v1/events", 400, "MALFORMED_JSON",
        b"topic: !!python/object:os.system {}\n", headers=YAML),
    Row("YAML duplicate", "POST", "/v1/events", 400, "DUPLICATE_KEY", b"topic: a\ntopic: b\n", "event.topic",
        headers=YAML),
    Row("YAML depth", "POST", "/v1/events", 400, "JSON_TOO_DEEP", b"[" * 70 + b"]" * 70, headers=YAML),
    Row("YAML key", "POST", "/v1/events", 400, "FIELD_INVALID", b"topic: a.b\ndata: {1: x}\n", "event.data['1']", YAML),
    Row("YAML infinity", "POST", "/v1/events", 400, "NON_FINITE_NUMBER", b"topic: a.b\ndata: {x: .inf}\n",
        "event.data.x", YAML),
    Row("two YAML documents", "POST", "/v1/events", 400, "MALFORMED_JSON",
        b"topic: a.b\n---\ntopic: a.b\n", headers=YAML),
    Row("body of a GET", "GET", "/v1/tasks", 400, "INVALID_REQUEST", b"{}"),
    Row("unknown parameter", "GET", "/v1/tasks?pagesize=1", 400, "UNKNOWN_FIELD", field="pagesize"),
    Row("parameter twice", "GET", "/v1/tasks?page_size=1&pageSize=2", 400, "DUPLICATE_KEY", field="page_size"),
    Row("parameter of another type", "GET", "/v1/tasks?page_size=many", 400, "FIELD_INVALID", field="page_size"),
    Row("parameter of the body", "POST", "/v1/tasks?task.name=x", 400, "UNKNOWN_FIELD", b"{}", "task.name"),
    Row("parameter beside a whole body", "POST", "/v1/tasks/one:run?priority=1", 400, "UNKNOWN_FIELD", b"{}",
        "priority"),
    Row("101 parameters", "GET", "/v1/tasks?" + "page_size=1&" * 101, 400, "TOO_LARGE"),
    Row("parameter not UTF-8", "GET", "/v1/tasks?page_token=%ff", 400, "INVALID_UNICODE"),
    Row("negative page", "GET", "/v1/tasks?page_size=-1", 400, "FIELD_INVALID", field="page_size"),
    Row("forged page token", "GET", "/v1/tasks?page_token=AAAA", 400, "PAGE_TOKEN_INVALID", field="page_token"),
    Row("unknown path", "GET", "/v1/nothing", 404, "METHOD_UNKNOWN"),
    Row("outside of the API", "GET", "/v2/tasks", 404, "METHOD_UNKNOWN"),
    Row("no path at all", "GET", "/", 404, "METHOD_UNKNOWN"),
    Row("case", "GET", "/v1/Tasks", 404, "METHOD_UNKNOWN"),
    Row("double slash", "GET", "/v1//tasks", 404, "METHOD_UNKNOWN"),
    Row("slash at the end", "GET", "/v1/tasks/", 404, "METHOD_UNKNOWN"),
    Row("semicolon", "GET", "/v1/tasks;x=1", 404, "METHOD_UNKNOWN"),
    Row("unknown verb", "POST", "/v1/tasks/one:fly", 404, "METHOD_UNKNOWN", b"{}"),
    Row("NUL in the path", "GET", "/v1/tasks/a%00", 400, "NUL_CHARACTER", field="name"),
    Row("encoded traversal", "GET", "/v1/tasks/..%2f..%2fetc", 400, "NAME_INVALID", field="name"),
    Row("percent in a key", "GET", "/v1/state/notes/a%252fb", 400, "NAME_INVALID", field="name"),
    Row("path not UTF-8", "GET", "/v1/tasks/%ff", 400, "INVALID_UNICODE", field="name"),
    Row("broken escape", "GET", "/v1/tasks/%zz", 400, "INVALID_UNICODE", field="name"),
    Row("SQL", "GET", "/v1/tasks/'%20OR%201=1%20--", 400, "NAME_INVALID", field="name"),
    Row("no UUID", "GET", "/v1/runs/1", 400, "NAME_INVALID", field="name"),
    Row("path against body", "PATCH", "/v1/tasks/one", 400, "FIELD_INVALID", b'{"name": "tasks/two"}', "task.name"),
    Row("wrong method", "PUT", "/v1/tasks/one", 405, "METHOD_NOT_ALLOWED", b"{}"),
    Row("TRACE", "TRACE", "/v1/tasks", 405, "METHOD_NOT_ALLOWED"),
    Row("preflight", "OPTIONS", "/v1/tasks", 405, "METHOD_NOT_ALLOWED", headers={"origin": "https://evil.example"}),
    Row("method override", "GET", "/v1/tasks/absent", 404, "RESOURCE_NOT_FOUND",
        headers={"x-http-method-override": "DELETE"}),
    Row("token in the URL", "GET", f"/v1/tasks?page_token={TOKEN}", 400, "TOKEN_IN_URL"),
    Row("access_token", "GET", "/v1/tasks?access_token=x", 400, "TOKEN_IN_URL"),
    Row("token in the body", "POST", "/v1/events", 400, "UNKNOWN_FIELD",
        b'{"topic": "a.b", "token": "x"}', "event.token"),
    Row("long URL", "GET", f"/v1/tasks?page_token={'x' * 9000}", 414, "TOO_LARGE"),
    Row("large headers", "GET", "/v1/tasks", 431, "TOO_LARGE", headers={f"x-{n}": "y" * 6000 for n in range(3)}),
    Row("many headers", "GET", "/v1/tasks", 431, "TOO_LARGE", headers={f"x-{n}": "y" for n in range(101)}),
    Row("long request id", "POST", "/v1/events?request_id=" + "x" * 65, 400, "TOO_LARGE",
        b'{"topic": "a.b"}', "request_id"),
    Row("key where nothing changes", "GET", "/v1/tasks", 400, "FIELD_INVALID", field="Idempotency-Key",
        headers={"idempotency-key": "x"}),
    Row("no timeout", "GET", "/v1/tasks", 400, "FIELD_INVALID", field="X-Server-Timeout",
        headers={"x-server-timeout": "soon"}),
    Row("condition on what has none", "POST", "/v1/events", 400, "FIELD_INVALID", b'{"topic": "a.b"}', "If-Match",
        {**JSON, "if-match": '"1"'}),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(postgres_url: str) -> AsyncIterator[RestSystem]:
    async with fresh_database(postgres_url) as url, rest_system(url) as started:
        await started.call("POST", "/v1/tasks?task_id=one", TASK)
        await started.call(
            "POST", "/v1/tasks?task_id=hourly", {**TASK, "schedule": {"triggers": [{"cron": "@hourly"}]}}
        )
        yield started


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
async def test_invalid_input(rest: RestSystem, row: Row) -> None:
    answer = await rest.call(row.verb, row.path, data=row.data, headers=JSON if row.headers is None else row.headers)
    assert answer.status == row.status, answer.text[:2000]
    assert answer.json["error"]["code"] == row.status
    if len(answer.violations) > 1:  # the method found other problems too
        assert answer.violations[row.field] == row.reason, answer.text
    else:
        assert (answer.reason, row.field) in {(row.reason, ""), *((row.reason, name) for name in answer.violations)}
    assert answer.headers["content-type"] == "application/json"
    assert "access-control-allow-origin" not in answer.headers
    if row.status == 405:
        assert "GET" in answer.headers["allow"]


async def test_all_violations_at_once(rest: RestSystem) -> None:
    """Of every part of the request: query, path, body."""
    document = {"name": "tasks/two", "colour": 1, "run_policy": {"priority": "x"}}
    answer = await rest.call("PATCH", "/v1/tasks/one?shape=round", document)
    assert set(answer.violations) == {"shape", "task.name", "task.colour", "task.run_policy.priority"}


KNOWN_AND_FOUND = [
    (
        "POST",
        "/v1/tasks?task_id=Wrong&shape=round",
        {
            "colour": 1,
            "display_name": " ",
            "schedule": {"triggers": [{"cron": "61 * * * *", "hue": 2}]},
            "pipeline": {"steps": [{"id": "a", "uses": "orchestrator.set"}, {"id": "a", "uses": "orchestrator.set"}]},
            "run_policy": {"priority": 77, "retries": 1},
        },
        {"shape", "task_id", "task.colour", "task.display_name", "task.schedule.triggers[0].hue",
         "task.schedule.triggers[0].cron", "task.schedule.time_zone", "task.pipeline.steps[1].id",
         "task.run_policy.priority",
         "task.run_policy.retries"},
    ),
    (  # the value of a misspelled field is validated too
        "POST",
        "/v1/tasks",
        {"pipelin": {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {}, "retry": -1}]}},
        {"task.pipelin", "task.pipeline.steps[0].retry"},
    ),
    (
        "PATCH",
        "/v1/tasks/one",
        {"colour": 1, "schedule": {"time_zone": "Mars/Base", "triggers": [{"cron": "@daily"}]}},
        {"task.colour", "task.schedule.time_zone"},
    ),
    ("POST", "/v1/tasks/one:run", {"colour": 1, "priority": 12}, {"colour", "priority"}),
    (
        "POST",
        "/v1/tools",
        {"colour": 1, "name": "tools/a.b", "input_schema": {"type": "wrong"}, "effect": "READ",
         "http": {"method": "POST", "url": "ftp://x"}},
        {"tool.colour", "tool.input_schema.type", "tool.http.url"},
    ),
    ("POST", "/v1/events", {"colour": 1, "topic": "Not A Topic"}, {"event.colour", "event.topic"}),
    ("POST", "/v1/agents", {"colour": 1, "scopes": ["x"]}, {"agent.colour", "agent.scopes[0]", "agent_id"}),
    (
        "POST",
        "/v1/runs",
        {"colour": 1, "pipeline": {"steps": [{"id": "a", "uses": "orchestrator.nothing"}]}},
        {"colour", "pipeline.steps[0].uses"},
    ),
    ("PUT", "/v1/state/notes/a", {"colour": 1}, {"entry.colour", "entry.value"}),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "path", "document", "fields"), KNOWN_AND_FOUND)
async def test_unknown_fields_hide_no_other_problem(
    rest: RestSystem, verb: str, path: str, document: dict[str, Any], fields: set[str]
) -> None:
    answer = await rest.call(verb, path, document)
    assert (answer.status, set(answer.violations)) == (400, fields), answer.text


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/v1/tasks?task_id=never", {**TASK, "colour": 1}),
        ("/v1/tasks/one:run", {"colour": 1}),
        ("/v1/tasks/one:pause", {"colour": 1}),
        ("/v1/tasks/hourly/backfills", {"colour": 1, "after_time": "2026-01-01T00:00:00Z"}),
        ("/v1/events", {"topic": "never.published", "colour": 1}),
        ("/v1/agents?agent_id=never", {"scopes": ["tasks:read"], "colour": 1}),
        ("/v1/agents/admin/tokens", {"colour": 1}),
        ("/v1/runs", {**TASK, "colour": 1}),
        ("/v1/tools/orchestrator.set:call", {"input": {"x": 1}, "colour": 1}),
    ],
)
async def test_a_request_with_an_unknown_field_changes_nothing(
    rest: RestSystem, path: str, document: dict[str, Any]
) -> None:
    """Otherwise valid requests, with and without a request_id, whose response would be stored."""
    before = await changes(rest)
    for headers in ({}, {"idempotency-key": f"once-{path}"[:64]}):
        answer = await rest.call("POST", path, document, headers=headers)
        assert (answer.status, answer.reason) == (400, "UNKNOWN_FIELD"), answer.text
        assert [field.rpartition(".")[2] for field in answer.violations] == ["colour"]
    assert await changes(rest) == before


async def changes(rest: RestSystem) -> list[Any]:
    """The number of rows in every table that a call can change."""
    tables = ("task", "run", "due_work", "backfill", "outbox", "agent", "agent_token", "request_log", "state_entry")
    async with rest.grpc.database.connection() as connection:
        rows = [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
        return [*rows, await connection.fetchval("SELECT state FROM task WHERE name = 'one'")]


@pytest.mark.parametrize(
    "shown",
    [(), ("",), ("Bearer",), ("Bearer ",), ("Basic YTpi",), (f"Bearer {TOKEN}",), ("GOOD", "GOOD"), ("Bearer \xfc",)],
)
async def test_unauthenticated_requests(rest: RestSystem, shown: tuple[str, ...]) -> None:
    """One answer for every way to have no token; two good headers are none."""
    good = f"Bearer {rest.grpc.admin.token}"
    lines = "".join(f"authorization: {good if value == 'GOOD' else value}\r\n" for value in shown)
    head = f"GET /v1/whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n".encode("latin-1")
    answer = (await rest.raw(head)).decode()
    assert answer.startswith("HTTP/1.1 401 "), answer
    assert "www-authenticate: Bearer" in answer
    assert "TOKEN_INVALID" in answer
    assert "metadata `" not in answer  # a term of gRPC


async def test_only_the_guessing_address_is_throttled(rest: RestSystem) -> None:
    """429 for the address that shows too many bad tokens; every other caller of the same face still gets 401."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0), limit=100)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as guesser:

        async def guess() -> tuple[int, str]:
            async with guesser.get(f"{rest.base}/v1/whoami") as answer:
                return answer.status, answer.headers.get("retry-after", "")

        guesses = await asyncio.gather(*(guess() for _ in range(400)))
    assert {status for status, _ in guesses} == {401, 429}
    assert all(wait == "1" for status, wait in guesses if status == 429)
    spoofed = (("ordinaut-source", "127.0.0.3"), ("ordinaut-source-proof", "0" * 32))
    assert (await rest.call("GET", "/v1/whoami", token=TOKEN, headers=dict(spoofed))).status == 401


async def test_a_missing_scope(rest: RestSystem) -> None:
    reader = await rest.grpc.agent("reader", "tasks:read")
    assert (await rest.call("GET", "/v1/tasks", token=reader.token)).json == {"tasks": []}
    assert (await rest.call("GET", "/v1/tasks/one", token=reader.token)).status == 404
    answer = await rest.call("POST", "/v1/tasks", TASK, token=reader.token)
    assert (answer.status, answer.reason) == (403, "MISSING_SCOPE")


async def test_every_response_has_a_request_id(rest: RestSystem) -> None:
    """The caller's own, if it is one; else one of ours. No answer may be guessed to be something else."""
    named = await rest.call("GET", "/v1/whoami", headers={"x-request-id": "trace-1"})
    assert named.headers["x-request-id"] == "trace-1"
    made = await rest.call("GET", "/v1/nothing", headers={"x-request-id": "a b"})
    assert len(made.headers["x-request-id"]) == 16
    assert made.headers["x-content-type-options"] == "nosniff"
    assert named.headers["cache-control"] == "no-store"


async def test_requests_that_are_not_http(rest: RestSystem) -> None:
    """Garbage, TLS and HTTP/2 bytes end their connection; the next one is served."""
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 100,
        b"GET / HTTP/9\r\n\r\n",
    ):
        assert (await rest.raw(data + b"\r\n\r\n")).startswith((b"HTTP/1.1 4", b"")), data
    answers = await asyncio.gather(*(rest.call("GET", "/healthz") for _ in range(5)))
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/runs/x:watch?colour=1", {"colour", "name"}),
        ("/v1/runs/01a208f2-7e21-7792-beb8-3ec69593a833:watch?colour=1", {"colour"}),
        (
            "/v1/events:watch?colour=1&topic=A&filter=%29&after_position=-1",
            {"colour", "topic", "filter", "after_position"},
        ),
        ("/v1/events:watch?topic=A&filter=%29&after_position=-1", {"topic", "filter", "after_position"}),
        ("/v1/events:watch?colour=1", {"colour"}),
        (
            "/v1/events?topic=A&filter=%29&after_position=-1&page_size=-1",
            {"topic", "filter", "after_position", "page_size"},
        ),
    ],
)
async def test_an_unknown_parameter_of_a_stream_hides_no_other_problem(
    rest: RestSystem, path: str, fields: set[str]
) -> None:
    """A valid stream is not opened: it would wait for an event."""
    answer = await rest.call("GET", path)
    assert (answer.status, set(answer.violations)) == (400, fields), answer.text


async def test_an_unknown_field_of_a_simulation_hides_no_other_problem(rest: RestSystem) -> None:
    document = {"task": TASK, "colour": 1, "fail_every": -1}
    answer = await rest.call("POST", "/v1/tasks:simulate", document)
    assert set(answer.violations) == {"colour", "fail_every"}, answer.text
    schedule = {"time_zone": "UTC", "triggers": [{"cron": "61 * * * *"}]}
    answer = await rest.call("POST", "/v1/tasks:simulate", {"task": {**TASK, "schedule": schedule}, "colour": 1})
    assert {field.partition("[")[0] for field in answer.violations} == {"colour", "task.schedule.triggers"}, answer.text
