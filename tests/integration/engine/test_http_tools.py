"""HTTP tools over real sockets: requests, the meaning of responses, and denied addresses."""

import asyncio
import gzip
import socket
from typing import Any

import orjson
import pytest
from aiohttp import web

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Accepted, Call, Output
from pipeline_engine.tools.definition import read_tool
from pipeline_engine.tools.egress import Egress, parse_rules
from pipeline_engine.tools.http import HttpTools
from tests.integration.support.engine_rig import Handler, Worker, definition, engine, http_tool, start, tool_server
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
) -> Output | Failure | Accepted:
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


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_the_body_may_be_a_form(method: str) -> None:
    seen: dict[str, Any] = {}

    async def handle(request: web.Request) -> web.Response:
        seen.update(type=request.content_type, fields=list((await request.post()).items()))
        return web.json_response({})

    form = "application/x-www-form-urlencoded"
    async with tool_server(handle) as port:
        value = {"city": "São Paulo & more", "day": [1, 2], "all": True, "none": None, "deep": {"a": 1}}
        assert await call(port, value, method=method, content_type=form) == Output({})
    fields = [("city", "São Paulo & more"), ("day", "1"), ("day", "2"), ("all", "true"), ("deep", '{"a":1}')]
    assert (seen["type"], seen["fields"]) == (form, fields)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_placeholders_of_the_url_are_filled_from_the_input(method: str) -> None:
    """Percent-encoded, and no longer part of the body or of the query."""
    seen: dict[str, Any] = {}

    async def handle(request: web.Request) -> web.Response:
        seen.update(path=request.raw_path, body=await request.text())
        return web.json_response({})

    async with tool_server(handle) as port:
        url = f"http://127.0.0.1:{port}/users/{{user}}/items?full={{full}}&a=b"
        value = {"user": "å/..?#%41", "full": True, "rest": 1}
        assert await call(port, value, method=method, url=url) == Output({})
    path = "/users/%C3%A5%2F..%3F%23%2541/items?full=true&a=b"
    query = "&rest=1" if method == "GET" else ""
    assert seen == {"path": path + query, "body": "" if query else '{"rest":1}'}


@pytest.mark.parametrize("value", [{}, {"user": None}, {"user": ["a"]}, {"user": {}}, {"user": ".."}, {"user": ""}])
async def test_a_value_that_does_not_fit_the_url_is_an_invalid_input(value: dict[str, Any]) -> None:
    """The request is not sent."""
    called: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.json_response({})

    async with tool_server(handle) as port:
        found = await call(port, value, url=f"http://127.0.0.1:{port}/users/{{user}}")
        long = await call(port, {"user": "x" * 20_000}, url=f"http://127.0.0.1:{port}/users/{{user}}")
    assert isinstance(found, Failure)
    assert (found.code, found.pointer, found.may_have_happened) == ("VALIDATION_INPUT", "/user", False)
    assert isinstance(long, Failure)
    assert (long.code, called) == ("PAYLOAD_TOO_LARGE", [])


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


@pytest.mark.parametrize("effect", ["READ", "IDEMPOTENT", "UNSAFE"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH"])
async def test_a_request_is_sent_once(method: str, effect: str) -> None:
    """The HTTP client does not repeat it after a lost connection, also on a pooled one; its outcome is unknown."""
    heard: list[str] = []

    async def break_off(request: web.Request) -> web.Response:
        heard.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def answer_then_break_off(request: web.Request) -> web.Response:
        first = request.headers["Idempotency-Key"] == "root/a"
        return web.json_response({}) if first else await break_off(request)

    async with tool_server(answer_then_break_off) as port:
        tools = HttpTools(Egress(parse_rules("127.0.0.0/8")))
        tool = read_tool({**orjson.loads(http_tool("t.x", port, method=method)), "effect": effect})
        try:
            first = await tools.call(Call(tool, {}, b"{}", "root/a", 10.0, "a", 1))
            found = await tools.call(Call(tool, {"n": 1}, b'{"n":1}', "root/b", 10.0, "b", 1))
        finally:
            await tools.close()
    assert first == Output({})
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
        ({"text": "{}", "headers": {"X-Long": "a" * 8191}}, True),
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


async def raw_failure(response: bytes, scheme: str = "http") -> Failure:
    """Returns the failure of a call of a server that sends these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(response)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await call(port, effect="UNSAFE", url=f"{scheme}://127.0.0.1:{port}/x")
    assert isinstance(found, Failure)
    return found


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000 + b"\r\nContent-Length: 2\r\n\r\n{}", "8190 bytes"),
        (b"HTTP/1.1 200 OK\r\n" + b"a" * 9000 + b": x\r\nContent-Length: 2\r\n\r\n{}", "8190 bytes"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "use https://"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "Duplicate Content-Length"),
    ],
)
async def test_a_response_that_is_not_http_is_described(response: bytes, text: str) -> None:
    """The tool may have acted, and the message does not name a status that it has not sent."""
    found = await raw_failure(response)
    assert (found.code, found.may_have_happened) == ("TOOL_ERROR", True)
    assert text in found.message
    assert "400" not in found.message


async def test_https_to_a_plain_port_is_explained() -> None:
    found = await raw_failure(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "https")
    assert (found.code, found.may_have_happened) == ("TOOL_UNAVAILABLE", False)
    assert "does not answer with TLS" in found.message


@pytest.mark.parametrize(
    ("response", "message", "details"),
    [
        (
            {"status": 302, "headers": {"Location": "/new"}},
            "the tool answered 302, a redirect to /new; redirects are not followed",
            {"status": 302, "location": "/new"},
        ),
        ({"status": 303}, "the tool answered 303, a redirect without a Location; redirects are not followed", {}),
        ({"status": 304}, "the tool answered 304 (not modified), which has no content", {"status": 304}),
        (
            {"text": "<html>down", "content_type": "text/html"},
            "the response must be JSON (got content type text/html",
            {"status": 200, "body": "<html>down"},
        ),
        ({"body": b"{oops", "content_type": "application/json"}, "not JSON", {"status": 200, "body": "{oops"}),
        ({"body": b"1" + b" " * LIMIT}, "the response must be at most 1 MiB", {"status": 200}),
        (
            {"status": 429, "headers": {"Retry-After": "3"}},
            "the tool answered 429",
            {"status": 429, "retry_after": "3"},
        ),
    ],
)
async def test_a_failure_describes_the_response(
    response: dict[str, Any], message: str, details: dict[str, Any]
) -> None:
    async with tool_server(answering(**response)) as port:
        found = await call(port)
    assert isinstance(found, Failure)
    assert message in found.message
    assert details.items() <= found.details.items()


async def test_a_byte_order_mark_before_an_output_is_skipped() -> None:
    async with tool_server(answering(body=b"\xef\xbb\xbf[1]")) as port:
        assert await call(port) == Output([1])


async def test_retry_after_holds_further_calls_of_the_tool() -> None:
    """Of this run and of another one on the same engine; other tools are called at once."""
    times: dict[str, list[float]] = {}
    called = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        calls = times.setdefault(request.path, [])
        calls.append(asyncio.get_running_loop().time())
        called.set()
        refused = request.path == "/busy" and len(calls) == 1
        return web.Response(status=429, headers={"Retry-After": "1"}) if refused else web.json_response({})

    async with tool_server(handle) as port, engine() as rig, Worker(rig) as worker:
        busy = http_tool("busy.x", port, url=f"http://127.0.0.1:{port}/busy")
        other = http_tool("other.x", port, url=f"http://127.0.0.1:{port}/other")
        retried = [{"id": "a", "uses": "busy.x", "retry": {"max": 1, "delay": "10ms", "codes": ["TOOL_ERROR"]}}]
        later = [{"id": "b", "uses": "other.x"}, {"id": "a", "uses": "busy.x", "retry": 0}]
        documents = {"first": retried, "second": later}
        definitions = [definition(document, busy, other, name=name) for name, document in documents.items()]
        await worker.send(definitions=definitions, starts=[start(1, "first")])
        async with asyncio.timeout(PATIENCE):
            await called.wait()
        await worker.send(starts=[start(2, "second")])
        results = [await worker.result(handle) for handle in (1, 2)]
    assert [result.state for result in results] == ["SUCCEEDED", "SUCCEEDED"]
    refusal, *calls = times["/busy"]
    assert len(calls) == 2
    assert min(calls) >= refusal + 0.99
    assert times["/other"][0] < refusal + 0.9
