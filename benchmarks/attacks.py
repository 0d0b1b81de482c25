"""Clients that try to hold up a gateway: `python -m benchmarks.attacks NAME GRPC_PORT REST_PORT TOKEN`.

Each runs until it is ended. `TOKEN` is that of a project; the attacks before authentication do not use it.
"""

import asyncio
import gzip
import io
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
from google.protobuf import json_format

from ordinaut.v1.event_service_pb2 import BatchPublishEventsRequest

UNKNOWN = json.dumps({f"field_{number:x}": 1 for number in range(200_000)}).encode()
YAML = b"".join(b"field_%d: {a: [1, 2, 3]}\n" % number for number in range(40_000))
JSON_TYPE, YAML_TYPE = {"content-type": "application/json"}, {"content-type": "application/yaml"}
TASKS = "/ordinaut.v1.TaskService/ListTasks"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RESET, SETTINGS, END_HEADERS = 1, 3, 4, 4


@dataclass(frozen=True)
class Target:
    """The gateway that is attacked, and the token of the attacker."""

    grpc_port: int
    rest_port: int
    token: str

    @property
    def bearer(self) -> dict[str, str]:
        """The header of a request with the token."""
        return {"authorization": f"Bearer {self.token}"}


async def _repeat(work: Callable[[], Awaitable[Any]], parallel: int) -> None:
    async def one() -> None:
        while True:
            with suppress(grpc.aio.AioRpcError, aiohttp.ClientError, OSError):
                await work()

    await asyncio.gather(*(one() for _ in range(parallel)))


async def _post(target: Target, body: bytes, headers: dict[str, str], parallel: int = 8) -> None:
    async with aiohttp.ClientSession() as http:

        async def post() -> None:
            url = f"http://127.0.0.1:{target.rest_port}/v1/tasks"
            async with http.post(url, data=io.BytesIO(body), headers=headers) as answer:
                await answer.read()

        await _repeat(post, parallel)


async def _calls(target: Target, path: str, body: bytes, token: str, parallel: int) -> None:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{target.grpc_port}") as channel:
        call: Any = channel.unary_unary(path)
        await _repeat(lambda: call(body, metadata=metadata, timeout=60), parallel)


async def unknown_fields(target: Target) -> None:
    """3.6 MB of JSON with unknown fields, without a token."""
    await _post(target, UNKNOWN, JSON_TYPE)


async def compressed_yaml(target: Target) -> None:
    """YAML in gzip format, without a token."""
    await _post(target, gzip.compress(YAML), YAML_TYPE | {"content-encoding": "gzip"})


async def large_json(target: Target) -> None:
    """3.6 MB of JSON with unknown fields, with a token."""
    await _post(target, UNKNOWN, JSON_TYPE | target.bearer)


async def yaml(target: Target) -> None:
    """60 kB of YAML, with a token."""
    await _post(target, YAML[:60_000], YAML_TYPE | target.bearer)


async def large_messages(target: Target) -> None:
    """60 calls at once with 3.8 MB each, with a token."""
    data = {"numbers": list(range(5_000))}
    request = {"requests": [{"event": {"topic": "attack.large", "data": data}}] * 38}
    body = json_format.ParseDict(request, BatchPublishEventsRequest()).SerializeToString()
    await _calls(target, "/ordinaut.v1.EventService/BatchPublishEvents", body, target.token, 60)


async def calls(target: Target) -> None:
    """As many small calls as possible, with a token."""
    await _calls(target, TASKS, b"", target.token, 64)


async def wrong_tokens(target: Target) -> None:
    """As many calls as possible, with a token that does not exist."""
    await _calls(target, TASKS, b"", f"ord_{'0' * 16}_{'0' * 64}", 64)


async def resets(target: Target) -> None:
    """Calls that are ended at once, on one connection after the other."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", TASKS), (":authority", "x")]
    fields += [("te", "trailers"), ("content-type", "application/grpc")]
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)
    while True:
        with suppress(OSError):
            _reader, writer = await asyncio.open_connection("127.0.0.1", target.grpc_port)
            writer.write(PREFACE + _frame(SETTINGS, 0, 0, b"") + _frame(SETTINGS, 1, 0, b""))
            for number in range(20_000):
                if writer.is_closing():
                    break
                stream = 2 * number + 1
                cancel = (8).to_bytes(4, "big")
                writer.write(_frame(HEADERS, END_HEADERS, stream, block) + _frame(RESET, 0, stream, cancel))
                if number % 20 == 0:
                    await writer.drain()
                    await asyncio.sleep(0)
            writer.close()
        await asyncio.sleep(0)


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


ATTACKS: Mapping[str, Callable[[Target], Coroutine[Any, Any, None]]] = {
    attack.__name__: attack
    for attack in (unknown_fields, compressed_yaml, resets, wrong_tokens, large_json, yaml, large_messages, calls)
}

if __name__ == "__main__":
    asyncio.run(ATTACKS[sys.argv[1]](Target(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
