"""Writes responses: JSON with the field names of the proto, compressed if the client accepts it."""

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


def to_json(response: Message) -> bytes:
    """Converts a response; the repeated fields of the message itself are always present."""
    document = to_document(response)
    if not response.DESCRIPTOR.full_name.startswith("google.protobuf."):
        for field in response.DESCRIPTOR.fields:
            if field.is_repeated and not (field.message_type and field.message_type.GetOptions().map_entry):
                document.setdefault(field.name, [])
    return orjson.dumps(document)


async def send_body(
    send: Send, request: Headers, status: int, headers: Mapping[str, str], body: bytes, content_type: str = JSON
) -> None:
    """Sends a complete response."""
    all_headers = {"content-type": content_type, "cache-control": "no-store", "vary": "accept-encoding", **headers}
    if len(body) >= GZIP_FROM_BYTES and request.accepts(b"accept-encoding", "gzip"):
        body = gzip.compress(body, GZIP_LEVEL)
        all_headers["content-encoding"] = "gzip"
    all_headers["content-length"] = str(len(body))
    await send({"type": "http.response.start", "status": status, "headers": encoded(all_headers)})
    await send({"type": "http.response.body", "body": body})


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Encodes headers for ASGI."""
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
