"""HTTP tools over real sockets: requests, the meaning of responses, and denied addresses."""

import asyncio
import gzip
import socket
from typing import Any

import orjson
import pytest
from aiohttp import web

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Output
from pipeline_engine.tools.definition import read_tool
from pipeline_engine.tools.egress import Egress, parse_rules
from pipeline_engine.tools.http import HttpTools
from tests.integration.support.engine_rig import Handler, http_tool, tool_server
from tests.patience import PATIENCE
from tests.ports import lasting_port

LIMIT = 1024 * 1024


async def call(
    port: int,
    value: dict[str, Any] | None = None,
    allow: str = "127.0.0.0/8",
    effect: str = "IDEMPOTENT",
    seconds: float = 10.0,
    **http: Any,
) -> Output | Failure:
    """Calls the tool server once."""
    tools = HttpTools(Egress(parse_rules(allow)))
    tool = read_tool({**orjson.loads(http_tool("t.x", port, **http)), "effect": effect})
    given = value or {}
    try:
        async with asyncio.timeout(PATIENCE):
            return await tools.call(Call(tool, given, orjson.dumps(given), "root/a", seconds, "a", 1))
    finally:
        await tools.close()


def answering(**response: Any) -> Handler:
    """Returns a handler with a constant response."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(**response)

    return handle


async def test_a_request_has_input_key_and_headers() -> None:
    """The body is JSON and uncompressed."""
    seen: dict[str, Any] = {}

    async def handle(request: web.Request) -> web.Response:
        seen.update(method=request.method, body=await request.json(), headers=request.headers.copy())
        return web.json_response({"ok": True})

    async with tool_server(handle) as port:
        assert await call(port, {"a": [1]}, method="PUT", headers={"X-Team": "blue"}) == Output({"ok": True})
    assert (seen["method"], seen["body"]) == ("PUT", {"a": [1]})
    wanted = {"Idempotency-Key": "root/a", "X-Team": "blue", "Content-Type": "application/json"}
    assert wanted.items() <= dict(seen["headers"]).items()
    assert seen["headers"]["Accept-Encoding"] == "identity"


async def test_get_sends_the_input_in_the_query() -> None:
    """Strings verbatim, lists repeated, all else as JSON; the URL's own query is kept."""
    seen: list[tuple[str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.extend(request.query.items())
        return web.json_response([])

    async with tool_server(handle) as port:
        value = {"city": "São Paulo & more", "tag": ["a", "b"], "n": 3, "deep": {"x": None}, "no": None}
        await call(port, value, method="GET", url=f"http://127.0.0.1:{port}/x?key=1")
    assert seen == [
        ("key", "1"),
        ("city", "São Paulo & more"),
        ("tag", "a"),
        ("tag", "b"),
        ("n", "3"),
        ("deep", '{"x":null}'),
    ]


@pytest.mark.parametrize(
    ("response", "code", "retryable"),
    [
        ({"status": 400, "text": "no"}, "TOOL_ERROR", False),
        ({"status": 404}, "TOOL_ERROR", False),
        ({"status": 408}, "TOOL_ERROR", True),
        ({"status": 425}, "TOOL_ERROR", True),
        ({"status": 429}, "TOOL_ERROR", True),
        ({"status": 500}, "TOOL_UNAVAILABLE", True),
        ({"status": 503}, "TOOL_UNAVAILABLE", True),
        ({"status": 302, "headers": {"Location": "http://169.254.169.254/"}}, "TOOL_ERROR", False),
        ({"status": 307, "headers": {"Location": "file:///etc/passwd"}}, "TOOL_ERROR", False),
        ({"text": "<html>", "content_type": "text/html"}, "TOOL_ERROR", False),
        ({"body": b"{", "content_type": "application/json"}, "VALIDATION_OUTPUT", False),
        ({"body": b'"\\u0000"', "content_type": "application/json"}, "VALIDATION_OUTPUT", False),
        ({"body": b"[" * 100 + b"]" * 100, "content_type": "application/json"}, "PAYLOAD_TOO_LARGE", False),
        ({"body": b'"' + b"x" * LIMIT + b'"', "content_type": "application/json"}, "PAYLOAD_TOO_LARGE", False),
        ({"body": gzip.compress(b"1" * 10**6), "headers": {"Content-Encoding": "gzip"}}, "TOOL_ERROR", False),
    ],
)
async def test_an_error_response_is_a_failure(response: dict[str, Any], code: str, retryable: bool) -> None:
    """With its code and whether it is retryable."""
    async with tool_server(answering(**response)) as port:
        found = await call(port)
    assert isinstance(found, Failure)
    assert (found.code, found.retryable) == (code, retryable)


@pytest.mark.parametrize(("body", "value"), [(b"", None), (b"null", None), (b" [1] ", [1]), (b'"x"', "x")])
async def test_any_json_is_an_output(body: bytes, value: Any) -> None:
    """Also an empty body, and without a content type."""
    async with tool_server(answering(body=body)) as port:
        assert await call(port) == Output(value)


async def test_a_response_is_limited_to_1_mib() -> None:
    """Nothing is read beyond it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with_limit = 64 * LIMIT // 65_536
        for _ in range(with_limit):
            await response.write(b" " * 65_536)
        raise AssertionError("the client read it all")

    async with tool_server(handle) as port:
        found = await call(port)
    assert isinstance(found, Failure)
    assert found.code == "PAYLOAD_TOO_LARGE"


async def test_a_refused_connection_is_retryable() -> None:
    found = await call(lasting_port())
    assert isinstance(found, Failure)
    assert (found.code, found.retryable) == ("TOOL_UNAVAILABLE", True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
    ],
)
async def test_denied_addresses_are_never_connected_to(host: str) -> None:
    """In any notation; the step is DENIED and the server receives nothing."""
    heard: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.json_response({})

    async with tool_server(handle) as port:
        found = await call(port, allow="", url=f"http://{host}:{port}/x")
    assert isinstance(found, Failure)
    assert (found.code, found.details.get("reason")) == ("DENIED", "EGRESS_DENIED")
    assert not heard


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_an_unsafe_request_is_sent_once(method: str) -> None:
    """The HTTP client does not repeat it after a lost connection; its outcome is unknown."""
    heard: list[str] = []

    async def break_off(request: web.Request) -> web.Response:
        heard.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with tool_server(break_off) as port:
        found = await call(port, effect="UNSAFE", method=method)
    assert isinstance(found, Failure)
    assert (found.code, found.retryable, found.may_have_happened, heard) == ("TOOL_UNAVAILABLE", True, True, [method])


@pytest.mark.parametrize(
    ("response", "may_have_happened"),
    [
        ({"status": 400}, False),
        ({"status": 429}, False),
        ({"status": 302}, False),
        ({"status": 500}, True),
        ({"status": 504}, True),
        ({"status": 502, "body": b" " * (LIMIT + 1)}, True),
        ({"text": "<html>", "content_type": "text/html"}, True),
        ({"body": b" " * (LIMIT + 1)}, True),
        ({"body": b"{", "content_type": "application/json"}, True),
    ],
)
async def test_a_response_determines_whether_the_outcome_is_known(
    response: dict[str, Any], may_have_happened: bool
) -> None:
    """It is known after a refusal; after a server error or an unreadable response it is not."""
    async with tool_server(answering(**response)) as port:
        found = await call(port, effect="UNSAFE")
    assert isinstance(found, Failure)
    assert found.may_have_happened == may_have_happened


async def test_the_outcome_of_an_unsent_request_is_known() -> None:
    """Connection refused, address denied, and a connect timeout."""
    port = lasting_port()
    refused = await call(port, effect="UNSAFE")
    denied = await call(port, effect="UNSAFE", allow="")
    with socket.socket() as listener, socket.socket() as visitor, socket.socket() as other:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (visitor, other):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        late = await call(listener.getsockname()[1], effect="UNSAFE", seconds=0.3)
    codes = [(found.code, found.may_have_happened) for found in (refused, denied, late) if isinstance(found, Failure)]
    assert codes == [("TOOL_UNAVAILABLE", False), ("DENIED", False), ("TOOL_UNAVAILABLE", False)]
