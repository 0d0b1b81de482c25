"""A client without a token costs little: what it sends is neither read nor parsed."""

import asyncio
import gzip
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tests.integration.support.rest_system import RestSystem, rest_system
from tests.patience import PATIENCE

MIB = 1024 * 1024
UNKNOWN = json.dumps({f"field_{number:x}": 1 for number in range(200_000)}).encode()
YAML = b"".join(b"field_%d: {a: [1, 2, 3]}\n" % number for number in range(30_000))
BOMB = gzip.compress(b"a: 1\n" * (MIB // 5))
JSON_HEADERS, YAML_HEADERS = {"content-type": "application/json"}, {"content-type": "application/yaml"}
PACKED = {"content-encoding": "gzip"}
BODIES = {
    "unknown fields": (UNKNOWN, JSON_HEADERS),
    "unknown fields in gzip format": (gzip.compress(UNKNOWN), JSON_HEADERS | PACKED),
    "YAML": (YAML[: 60 * 1024], YAML_HEADERS),
    "YAML in gzip format": (gzip.compress(YAML), YAML_HEADERS | PACKED),
    "a gzip bomb": (BOMB, YAML_HEADERS | PACKED),
    "brackets": (b"[" * 4 * MIB, JSON_HEADERS),
}


@pytest_asyncio.fixture
async def rest(database_url: str) -> AsyncIterator[RestSystem]:
    async with rest_system(database_url) as started:
        yield started


async def cpu(work: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a call and the CPU seconds of this process, which has client and gateway."""
    start = time.process_time()
    result = await work()
    return result, time.process_time() - start


async def post(rest: RestSystem, body: bytes, headers: dict[str, str], path: str = "/v1/tasks") -> tuple[int, str]:
    async with rest.http.post(rest.base + path, data=io.BytesIO(body), headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_without_a_token_is_not_parsed(rest: RestSystem, kind: str) -> None:
    (status, _), seconds = await cpu(lambda: post(rest, *BODIES[kind]))
    print(f"{kind}: {seconds * 1000:.0f} ms of CPU")
    assert status == 401
    assert seconds < 0.25


async def test_a_message_without_a_token_is_not_parsed(rest: RestSystem) -> None:
    """3.8 MB over gRPC, twenty times."""
    call: Any = rest.grpc.channel.unary_unary("/ordinaut.v1.TaskService/CreateTask")
    message = b"\x9a\x3f\x01a" * (950 * 1024)  # unknown fields

    async def work() -> list[Any]:
        return await asyncio.gather(*(call(message, timeout=PATIENCE) for _ in range(20)), return_exceptions=True)

    answers, seconds = await cpu(work)
    assert {answer.code() for answer in answers} == {grpc.StatusCode.UNAUTHENTICATED}
    assert seconds < 2.0


async def test_reading_stops_at_a_hundred_problems(rest: RestSystem) -> None:
    """Also with a token; the loop of the gateway is free in the meantime."""
    headers = JSON_HEADERS | {"authorization": f"Bearer {rest.grpc.admin.token}"}
    (status, text), seconds = await cpu(lambda: post(rest, UNKNOWN, headers))
    assert status == 400
    assert int(text.partition(" problems")[0].rpartition('"')[2]) <= 101
    assert seconds < 1.0  # parsing is in another process


async def test_yaml_and_gzip_have_limits(rest: RestSystem) -> None:
    token = {"authorization": f"Bearer {rest.grpc.admin.token}"}
    assert (await post(rest, YAML[: 65 * 1024], YAML_HEADERS | token))[0] == 413
    assert (await post(rest, BOMB, YAML_HEADERS | PACKED | token))[0] == 413
    spaces = gzip.compress(b'{"task": {' + b" " * (2 * MIB) + b"}}")
    status, text = await post(rest, spaces, JSON_HEADERS | PACKED | token)
    assert (status, "20 times" in text) == (413, True)


async def test_a_yaml_limit_can_be_raised(database_url: str) -> None:
    async with rest_system(database_url, yaml_max_bytes=256 * 1024) as rest:
        token = {"authorization": f"Bearer {rest.grpc.admin.token}"}
        assert (await post(rest, b"a: 1 # " + b"x" * 100_000, YAML_HEADERS | token))[0] == 400


async def test_a_large_body_is_converted_in_a_process(rest: RestSystem) -> None:
    """It arrives unchanged; the loop of the gateway is never held for long."""
    data = {"list": [{"a": number, "b": str(number)} for number in range(15_000)]}
    body = json.dumps({"topic": "a.b", "data": data}).encode()
    headers = JSON_HEADERS | {"authorization": f"Bearer {rest.grpc.admin.token}"}
    status, text = await post(rest, body, headers, "/v1/events")
    assert status == 200
    assert json.loads(text)["data"] == data


async def test_a_conversion_ends_with_its_client(rest: RestSystem) -> None:
    """A YAML text that takes half a second: its process is killed when the client leaves."""
    headers = YAML_HEADERS | {"authorization": f"Bearer {rest.grpc.admin.token}"}
    sending = asyncio.create_task(post(rest, YAML[: 64 * 1024], headers))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert (await post(rest, b"{}", headers))[0] == 400


async def refused_calls(rest: RestSystem, project: str) -> list[Any]:
    await rest.grpc.denials.flush(all_windows=True)
    async with rest.grpc.database.connection() as connection:
        rows = await connection.fetch("SELECT body FROM audit WHERE project = $1 ORDER BY id", project)
    return [body for row in rows if (body := json.loads(row["body"]))["outcome"] == "DENIED"]


async def test_a_request_that_is_not_read_is_recorded_as_refused(rest: RestSystem) -> None:
    """Over HTTP once, although the gateway asks for the token twice."""
    await rest.call("POST", "/v1/tasks", {}, token="", headers={"user-agent": "curl/8"})
    (record,) = await refused_calls(rest, "_")
    assert (record["method"], record["reason"], record["count"]) == ("CreateTask", "TOKEN_INVALID", 1)
    assert (record["address"], record["user_agent"]) == ("127.0.0.1", "curl/8")


async def test_a_refused_call_is_recorded_once_also_with_an_unreadable_request(rest: RestSystem) -> None:
    narrow = await rest.grpc.agent("narrow", "state:read")
    call: Any = rest.grpc.channel.unary_unary("/ordinaut.v1.TaskService/PauseTask")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(b"\xff", metadata=(("authorization", f"Bearer {narrow.token}"),), timeout=PATIENCE)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    kinds = [(each["method"], each["agent"], each["count"]) for each in await refused_calls(rest, "default")]
    assert kinds == [("PauseTask", "agents/narrow", 1)]
