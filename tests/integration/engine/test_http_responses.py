"""Responses of HTTP tools as data, and results that are polled."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline_engine.data.failure import DENIED, TOOL_ERROR, Failure
from pipeline_engine.interpreter.requests import Accepted, Call, Output
from pipeline_engine.language.secret_places import SecretUse
from pipeline_engine.tools.checks.registration import tool_violations
from pipeline_engine.tools.definition import read_tool
from pipeline_engine.tools.egress import Egress, parse_rules
from pipeline_engine.tools.http import HttpTools
from pipeline_engine.tools.secret_files import SecretFiles
from tests.integration.support.engine_rig import tool_server

Reply = dict[str, Any]


class Server:
    """Answers each path with what `replies` has for it, and keeps the requests."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[web.Request] = []
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        reply = {"status": 200, "text": "{}", **self.replies.get(request.path, {})}
        return web.Response(**reply)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    started = Server()
    async with tool_server(started.handle) as started.port:
        yield started


async def called(server: Server, location: str = "", egress: str = "127.0.0.0/8", **http: Any) -> Any:
    definition = {"name": "t.x", "http": {"url": server.url("/call"), **http}}
    assert tool_violations(definition) == []
    tools = HttpTools(Egress(parse_rules(egress)), connections=4)
    try:
        return await tools.call(Call(read_tool(definition), {}, b"{}", "key", 10.0, "a", 1, location=location))
    finally:
        await tools.close()


@pytest.mark.parametrize(
    ("reply", "response", "expected"),
    [
        ({"text": '{"n": 1}'}, {}, {"n": 1}),
        ({"status": 204, "text": ""}, {}, None),
        ({"status": 404, "text": '{"gone": true}'}, {"success": ["2xx", "404"]}, {"gone": True}),
        ({"status": 503, "text": "{}"}, {"success": ["200-204", "5xx"]}, {}),
        (
            {"status": 201, "text": '{"n": 1}', "headers": {"ETag": '"v1"', "X-Other": "y"}},
            {"envelope": True, "headers": ["ETag", "X-Missing"]},
            {"status": 201, "headers": {"etag": '"v1"', "x-missing": None}, "body": {"n": 1}},
        ),
        (
            {"text": "plain", "content_type": "text/plain"},
            {"envelope": True},
            {"status": 200, "headers": {}, "body": "plain"},
        ),
        ({"status": 204, "text": ""}, {"envelope": True}, {"status": 204, "headers": {}, "body": None}),
        (
            {"status": 302, "text": "", "headers": {"Location": "/x"}},
            {"success": ["3xx"], "envelope": True, "headers": ["location"]},
            {"status": 302, "headers": {"location": "/x"}, "body": None},
        ),
    ],
)
async def test_a_response_is_data(server: Server, reply: Reply, response: Any, expected: Any) -> None:
    server.replies["/call"] = reply
    outcome = await called(server, response=response)
    assert isinstance(outcome, Output), outcome
    assert outcome.value == expected


@pytest.mark.parametrize(
    ("status", "success", "happened"), [(200, ["201"], True), (404, ["2xx"], False), (500, ["2xx", "404"], True)]
)
async def test_another_status_is_a_failure(server: Server, status: int, success: list[str], happened: bool) -> None:
    server.replies["/call"] = {"status": status}
    outcome = await called(server, response={"success": success, "envelope": True})
    assert isinstance(outcome, Failure)
    assert (outcome.details["status"], outcome.may_have_happened) == (status, happened)


async def test_202_is_an_output_unless_its_result_is_polled(server: Server) -> None:
    server.replies["/call"] = {"status": 202, "text": '{"id": 1}', "headers": {"Location": "/job"}}
    assert (await called(server)).value == {"id": 1}
    assert await called(server, polling={"interval": "2s"}) == Accepted(server.url("/job"), 2.0)


@pytest.mark.parametrize(("headers", "delay"), [({}, 5.0), ({"Retry-After": "30"}, 30.0), ({"Retry-After": "1"}, 5.0)])
async def test_retry_after_is_the_least_delay(server: Server, headers: dict[str, str], delay: float) -> None:
    server.replies["/call"] = {"status": 202, "headers": {"Location": "/job", **headers}}
    assert (await called(server, polling={})).delay == delay


@pytest.mark.parametrize(
    ("location", "hosts", "allowed"),
    [
        ("/job?x=1#part", [], "/job?x=1"),
        ("http://localhost:PORT/job", [], None),
        ("http://localhost:PORT/job", ["localhost:PORT"], "http://localhost:PORT/job"),
        ("http://localhost:PORT/job", ["localhost"], None),
        ("http://127.0.0.1:1/job", [], None),
        ("https://127.0.0.1:PORT/job", [], None),
        ("http://ann:secret@127.0.0.1:PORT/job", [], None),
        ("file:///etc/passwd", [], None),
        ("http://127.0.0.1:PORT:9/", [], None),
        ("//169.254.169.254/latest", [], None),
    ],
)
async def test_only_known_hosts_are_polled(
    server: Server, location: str, hosts: list[str], allowed: str | None
) -> None:
    port = str(server.port)
    server.replies["/call"] = {"status": 202, "headers": {"Location": location.replace("PORT", port)}}
    outcome = await called(server, polling={"hosts": [host.replace("PORT", port) for host in hosts]})
    if allowed is None:
        assert isinstance(outcome, Failure)
        assert (outcome.code, outcome.details["reason"]) == (DENIED, "LOCATION_DENIED")
        assert outcome.may_have_happened
        assert len(server.requests) == 1
    else:
        expected = allowed.replace("PORT", port)
        assert outcome.location == (server.url(expected) if expected.startswith("/") else expected)


async def test_the_egress_policy_holds_for_polls(server: Server) -> None:
    outcome = await called(server, server.url("/job"), egress="", polling={})
    assert isinstance(outcome, Failure)
    assert (outcome.code, outcome.details["reason"], outcome.may_have_happened) == (DENIED, "EGRESS_DENIED", True)


@pytest.mark.parametrize(
    ("reply", "polling", "expected"),
    [
        ({"text": '{"state": "done"}'}, {}, Output({"state": "done"})),
        ({"text": '{"state": "runs"}'}, {"done": "body.state == 'done'"}, "again"),
        ({"text": '{"state": "done"}'}, {"done": "body.state == 'done'"}, Output({"state": "done"})),
        ({"status": 202}, {}, "again"),
        ({"status": 503}, {}, "again"),
        ({"status": 429}, {}, "again"),
        ({"status": 303, "headers": {"Location": "/result"}}, {}, "/result"),
        ({"status": 202, "headers": {"Location": "/next"}}, {}, "/next"),
    ],
)
async def test_a_poll_finds_the_result(server: Server, reply: Reply, polling: Any, expected: Any) -> None:
    server.replies["/job"] = reply
    outcome = await called(server, server.url("/job"), polling=polling)
    [request] = server.requests
    assert (request.method, request.path, request.headers.get("Idempotency-Key")) == ("GET", "/job", None)
    if isinstance(expected, Output):
        assert outcome == expected
    else:
        assert outcome == Accepted(server.url("/job" if expected == "again" else expected), 5.0)


@pytest.mark.parametrize(
    ("reply", "polling", "code", "in_doubt"),
    [
        ({"status": 404}, {}, TOOL_ERROR, True),
        ({"text": "no JSON"}, {}, TOOL_ERROR, True),
        ({"text": '{"state": "failed"}'}, {"failed": "body.state == 'failed'"}, TOOL_ERROR, False),
        ({"text": '{"state": 5}'}, {"done": "body.state > 'x'"}, "EXPRESSION", True),
        ({"status": 303, "headers": {"Location": "http://10.0.0.1/"}}, {}, DENIED, True),
    ],
)
async def test_a_poll_can_fail(server: Server, reply: Reply, polling: Any, code: str, in_doubt: bool) -> None:
    server.replies["/job"] = reply
    outcome = await called(server, server.url("/job"), polling=polling)
    assert isinstance(outcome, Failure), outcome
    assert (outcome.code, outcome.may_have_happened, outcome.retryable) == (code, in_doubt, False)


async def test_a_lost_connection_is_polled_again(server: Server) -> None:
    assert await called(server, "http://127.0.0.1:1/job", polling={"hosts": ["127.0.0.1:1"]}) == Accepted(
        "http://127.0.0.1:1/job", 5.0
    )


async def test_another_origin_gets_no_headers_of_the_tool(server: Server) -> None:
    host = f"localhost:{server.port}"
    for location in (server.url("/job"), f"http://{host}/job"):
        await called(server, location, polling={"hosts": [host]}, headers={"X-Key": "k"})
    assert [request.headers.get("X-Key") for request in server.requests] == ["k", None]


async def test_a_poll_is_authenticated_and_no_secret_is_recorded(server: Server, tmp_path: Path) -> None:
    """A Location with a secret is refused, because it would be in the journal."""
    definition = {
        "name": "t.x",
        "http": {"url": server.url("/call"), "auth": {"bearer": {"secret": "key"}}, "polling": {}},
    }
    (tmp_path / "default").mkdir()
    (tmp_path / "default" / "key").write_text("s3cret-value")
    tools = HttpTools(Egress(parse_rules("127.0.0.0/8")), connections=4, secrets=SecretFiles(tmp_path))
    server.replies["/call"] = {"status": 202, "headers": {"Location": "/job?key=s3cret-value"}}
    server.replies["/job"] = {"text": '{"echo": "s3cret-value"}'}
    use = SecretUse("default", (), frozenset())
    call = Call(read_tool(definition), {}, b"{}", "key", 10.0, "a", 1, use)
    try:
        refused = await tools.call(call)
        result = await tools.call(replace(call, location=server.url("/job")))
    finally:
        await tools.close()
    assert isinstance(refused, Failure)
    assert (refused.details["reason"], refused.may_have_happened) == ("LOCATION_DENIED", True)
    assert "s3cret-value" not in str(refused)
    assert result == Output({"echo": "[secret key]"})
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer s3cret-value"] * 2


@pytest.mark.parametrize(
    ("http", "field"),
    [
        ({"response": {"success": ["200", "6xx"]}}, "http.response.success[1]"),
        ({"response": {"success": ["204-200"]}}, "http.response.success[0]"),
        ({"response": {"success": ["102"]}}, "http.response.success[0]"),
        ({"response": {"headers": ["ETag"]}}, "http.response.headers"),
        ({"response": {"envelope": True, "headers": ["a b"]}}, "http.response.headers[0]"),
        ({"response": {"success": ["200"] * 33}}, "http.response.success"),
        ({"polling": {"interval": "1ms"}}, "http.polling.interval"),
        ({"polling": {"timeout": "8d"}}, "http.polling.timeout"),
        ({"polling": {"hosts": ["http://a/"]}}, "http.polling.hosts[0]"),
        ({"polling": {"hosts": ["a:22"]}}, "http.polling.hosts[0]"),
        ({"polling": {"hosts": ["*.a"]}}, "http.polling.hosts[0]"),
        ({"polling": {"done": "state == 'x'"}}, "http.polling.done"),
        ({"polling": {"failed": "body.["}}, "http.polling.failed"),
    ],
)
def test_wrong_options_are_refused(http: Any, field: str) -> None:
    found = tool_violations({"name": "t.x", "http": {"url": "http://h/", **http}})
    assert [violation.field for violation in found] == [field]
