"""Connections that do not behave: too slow, too long, gone. They end; everybody else is served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from gateway.rest import server
from gateway.rest.transcoding import body
from tests.integration.conftest import fresh_database
from tests.integration.support.rest_system import RestSystem, rest_system
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")
HEAD = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {token}\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(postgres_url: str) -> AsyncIterator[RestSystem]:
    async with fresh_database(postgres_url) as url, rest_system(url) as started:
        yield started


def head(rest: RestSystem, *lines: str) -> bytes:
    return (HEAD.format(token=rest.grpc.admin.token) + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode()


async def test_a_body_that_never_ends(rest: RestSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """408 and the end of the connection."""
    monkeypatch.setattr(body, "ARRIVAL_SECONDS", 0.2)
    answer = await rest.raw(head(rest, "transfer-encoding: chunked") + b"1\r\n{\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: "])
async def test_a_head_that_never_ends(rest: RestSystem, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed, whatever has come of it."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    assert await rest.raw(sent, seconds=5) == b""


async def test_a_second_head_that_never_ends(rest: RestSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is every request's, not the connection's first one's alone."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert b" 200 " in await reader.readuntil(b'alive"}')
        writer.write(b"GET /healthz HTTP/1.1\r\nx-slow: ")
        assert await reader.read() == b""
    writer.close()


async def test_an_endless_body_without_a_length(rest: RestSystem) -> None:
    """413 as soon as it is too much, long before its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(head(rest, "transfer-encoding: chunked"))
    chunk = b"%x\r\n" % 65536 + b" " * 65536 + b"\r\n"
    for _ in range(70):
        writer.write(chunk)
        await writer.drain()
    async with asyncio.timeout(PATIENCE):
        assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_wrong_content_length(rest: RestSystem) -> None:
    """A length that is too large is refused unread; one that is not a number ends the connection."""
    answer = await rest.raw(head(rest, "content-length: 99999999999", "connection: close"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert (await rest.raw(head(rest, "content-length: -1"))).startswith(b"HTTP/1.1 400 ")


async def test_a_disconnect_in_the_middle_of_a_request(rest: RestSystem) -> None:
    """A caller who hangs up in the middle of a body leaves nothing behind: the next call is answered."""
    _, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(head(rest, "content-length: 100") + b"{")
    await writer.drain()
    writer.close()
    assert (await rest.call("GET", "/healthz")).json == {"status": "alive"}


async def test_the_largest_head(rest: RestSystem) -> None:
    """Far beyond the limit the connection just ends, maybe before a 400 is read; below that the answer says why."""
    huge = b"HTTP/1.1 400 "
    with suppress(ConnectionResetError):
        huge = await rest.raw(head(rest, "x-large: " + "y" * 900_000))
    assert huge.startswith(b"HTTP/1.1 400 ")
    assert (await rest.raw(head(rest, "x-large: " + "y" * 20_000, "connection: close"))).startswith(b"HTTP/1.1 431 ")


async def test_concurrent_requests(rest: RestSystem) -> None:
    answers = await asyncio.gather(*(rest.call("GET", "/v1/whoami") for _ in range(50)))
    assert {answer.status for answer in answers} == {200}


async def test_a_large_request_does_not_block_others(rest: RestSystem) -> None:
    """A body that takes long to read, and an answer that takes long to write, are worked on beside the others."""
    wide = b'{"value": [' + b"0," * 150_000 + b"0]}"
    large = asyncio.create_task(rest.call("PUT", "/v1/state/wide/one", data=wide, headers=body_type("json")))
    answered = 0
    while not large.done():
        assert (await rest.call("GET", "/healthz")).status == 200
        answered += 1
    assert large.result().status in {200, 400}
    assert answered > 3


async def test_a_decompressed_body_above_the_message_limit(rest: RestSystem) -> None:
    """Four MiB of JSON may be more than four as a message: the answer is the same."""
    wide = b'{"value": [' + b"0," * 500_000 + b"0]}"
    answer = await rest.call("PUT", "/v1/state/wide/two", data=wide, headers=body_type("json"))
    assert (answer.status, answer.reason) == (413, "TOO_LARGE")


def body_type(kind: str) -> dict[str, str]:
    return {"content-type": f"application/{kind}"}


async def test_a_call_is_cancelled_when_the_client_disconnects(rest: RestSystem) -> None:
    """The call behind a request ends with its connection: here one that would wait for a run that nobody executes."""
    method = "/ordinaut.v1.ToolService/CallTool"

    def cancelled() -> float:
        labels = {"method": method, "code": "CANCELLED"}
        return REGISTRY.get_sample_value("ordinaut_gateway_call_seconds_count", labels) or 0.0

    before = cancelled()
    _, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    call = head(rest, "content-length: 2").replace(b"/v1/events", b"/v1/tools/orchestrator.set:call") + b"{}"
    writer.write(call)
    await writer.drain()
    async with asyncio.timeout(PATIENCE):
        while not (await rest.call("GET", "/v1/runs")).json.get("runs"):
            pass
    writer.close()
    async with asyncio.timeout(PATIENCE):
        while cancelled() == before:
            assert (await rest.call("GET", "/healthz")).status == 200


async def test_a_content_type_without_a_body(rest: RestSystem) -> None:
    """Clients that say what they would send are answered as those that do not."""
    for verb, path, status in (("GET", "/v1/tasks", 200), ("DELETE", "/v1/tasks/nobody", 404)):
        answer = await rest.call(verb, path, data=b"", headers=body_type("json"))
        assert answer.status == status
