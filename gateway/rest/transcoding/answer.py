"""Answers as JSON: the protos' field names, the lists of a page always there, compressed where asked for."""

import gzip
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from google.protobuf.message import Message

from gateway.rest.transcoding.headers import Headers
from ordinaut.documents.writing import to_document

Send = Callable[[Any], Awaitable[None]]
JSON = "application/json"
GZIP_FROM_BYTES = 1024
GZIP_LEVEL = 4


def to_json(answer: Message) -> bytes:
    """One answer. Lists of the message itself are there also when they are empty."""
    document = to_document(answer)
    if not answer.DESCRIPTOR.full_name.startswith("google.protobuf."):
        for field in answer.DESCRIPTOR.fields:
            if field.is_repeated and not (field.message_type and field.message_type.GetOptions().map_entry):
                document.setdefault(field.name, [])
    return orjson.dumps(document)


async def send_body(
    send: Send, request: Headers, status: int, headers: Mapping[str, str], body: bytes, content_type: str = JSON
) -> None:
    """Sends one whole answer."""
    told = {"content-type": content_type, "cache-control": "no-store", "vary": "accept-encoding", **headers}
    if len(body) >= GZIP_FROM_BYTES and request.accepts(b"accept-encoding", "gzip"):
        body = gzip.compress(body, GZIP_LEVEL)
        told["content-encoding"] = "gzip"
    told["content-length"] = str(len(body))
    await send({"type": "http.response.start", "status": status, "headers": encoded(told)})
    await send({"type": "http.response.body", "body": body})


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
