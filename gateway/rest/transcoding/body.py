"""Bodies of requests: bounded in size and time before and after decompression, then read by their content type."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gateway.rest.errors import HttpRefusalError
from gateway.rest.transcoding.headers import Headers
from gateway.rest.transcoding.json_text import malformed, read_json
from gateway.rest.transcoding.yaml_text import read_yaml
from ordinaut.errors import DeadlineExceededError, InvalidArgumentError, ResourceExhaustedError
from ordinaut.limits import MAX_DOCUMENT_BYTES, MAX_MESSAGE_BYTES
from ordinaut.v1.error_pb2 import ErrorReason

Receive = Callable[[], Awaitable[Any]]
ARRIVAL_SECONDS = 20.0
QUICK_JSON_BYTES = 64 * 1024
QUICK_YAML_BYTES = 2 * 1024
GZIP_WINDOW = 31
JSON_TYPES = frozenset({"application/json", "application/merge-patch+json", ""})
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
ANNOUNCING = (JSON_TYPES | YAML_TYPES) - {""}


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body that has arrived whole and is not read yet."""

    data: bytes
    read: Callable[[bytes], Any]

    @property
    def is_large(self) -> bool:
        """Whether reading it takes so long that others would notice."""
        return len(self.data) > (QUICK_JSON_BYTES if self.read is read_json else QUICK_YAML_BYTES)

    def document(self) -> Any:
        """What stands in it.

        Raises:
            InvalidArgumentError: it cannot be read.
        """
        return self.read(self.data)


async def receive_body(receive: Receive, headers: Headers, *, expected: bool) -> Body | None:
    """The body; None when there is none. Where one is `expected`, a content type announces one: empty is no JSON.

    Raises:
        HttpRefusalError: 408, 413, 415.
        InvalidArgumentError: it is empty, or not compressed as it says.
        ClientGoneError: the caller hung up.
    """
    announced = headers.first(b"content-type")
    limit = MAX_DOCUMENT_BYTES if _media_type(announced) in YAML_TYPES else MAX_MESSAGE_BYTES
    data = await _arrived(receive, headers, limit)
    if not data and not (expected and _media_type(announced) in ANNOUNCING):
        return None
    kind = _kind(announced)
    data = _decompressed(data, headers.first(b"content-encoding"), limit)
    if not data.strip():
        raise malformed("the body is empty")
    return Body(data, read_json if kind in JSON_TYPES else read_yaml)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _kind(content_type: str) -> str:
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [parameter.removeprefix("charset=").strip('"') for parameter in parameters if "charset" in parameter]
    if kind not in JSON_TYPES | YAML_TYPES or any(charset not in {"utf-8", "utf8"} for charset in charsets):
        text = "send application/json or application/yaml in UTF-8"
        raise _unsupported(text, {"accept": "application/json, application/yaml"})
    return kind


async def _arrived(receive: Receive, headers: Headers, limit: int) -> bytes:
    announced = headers.first(b"content-length")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise _too_large(limit)
    data = bytearray()
    try:
        async with asyncio.timeout(ARRIVAL_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                data += message.get("body", b"")
                if len(data) > limit:
                    raise _too_large(limit)
                if not message.get("more_body"):
                    return bytes(data)
    except TimeoutError:
        error = DeadlineExceededError(ErrorReason.DEADLINE, f"the body must arrive within {ARRIVAL_SECONDS:.0f} s")
        raise HttpRefusalError(408, error, {"connection": "close"}) from None


def _decompressed(data: bytes, encoding: str, limit: int) -> bytes:
    match encoding.strip().lower():
        case "" | "identity":
            return data
        case "gzip" | "x-gzip":
            return _gunzip(data, limit)
    raise _unsupported("send the body as it is, or with content encoding gzip", {"accept-encoding": "gzip"})


def _gunzip(data: bytes, limit: int) -> bytes:
    inflator = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = inflator.decompress(data, limit + 1)
    except zlib.error:
        raise malformed("the body is not gzip") from None
    if len(plain) > limit:
        raise _too_large(limit)
    if not inflator.eof or inflator.unused_data:
        raise malformed("the body is not exactly one gzip member")
    return plain


def _too_large(limit: int) -> HttpRefusalError:
    error = ResourceExhaustedError(ErrorReason.TOO_LARGE, f"the body may have {limit} bytes, decompressed")
    return HttpRefusalError(413, error)


def _unsupported(text: str, headers: dict[str, str]) -> HttpRefusalError:
    return HttpRefusalError(415, InvalidArgumentError(ErrorReason.UNSUPPORTED_MEDIA_TYPE, text), headers)
