"""Receives request bodies, with limits for time and for size before and after decompression, and parses them."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gateway.api.violations import got
from gateway.rest.errors import HttpError
from gateway.rest.transcoding.headers import Headers
from ordinaut.documents.json_text import malformed, read_json
from ordinaut.documents.yaml_text import read_yaml
from ordinaut.errors import DeadlineExceededError, InvalidArgumentError, ResourceExhaustedError
from ordinaut.limits import MAX_MESSAGE_BYTES
from ordinaut.v1.error_pb2 import ErrorReason

Receive = Callable[[], Awaitable[Any]]
ARRIVAL_SECONDS = 20.0
INLINE_JSON_BYTES = 64 * 1024
INLINE_YAML_BYTES = 2 * 1024
GZIP_WINDOW = 31
GZIP_FREE_BYTES = 64 * 1024  # up to this size any compression ratio is accepted
GZIP_RATIO_MAX = 20
JSON_TYPES = frozenset({"application/json", "application/merge-patch+json", ""})
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})


class ClientGoneError(Exception):
    """The client has disconnected."""


@dataclass(frozen=True, slots=True)
class Body:
    """A complete body that is not parsed yet."""

    data: bytes
    is_yaml: bool = False

    @property
    def is_large(self) -> bool:
        """Whether parsing would block the event loop for too long."""
        return len(self.data) > (INLINE_YAML_BYTES if self.is_yaml else INLINE_JSON_BYTES)

    def document(self) -> Any:
        """Parses the body.

        Raises:
            InvalidArgumentError: the body is malformed.
        """
        return read_yaml(self.data) if self.is_yaml else read_json(self.data)


async def receive_body(receive: Receive, headers: Headers, yaml_max: int) -> Body | None:
    """Returns the body; None if it is empty or blank, also with a content type, which many clients send always.

    `yaml_max` is the largest size of YAML in bytes; JSON may have the size of a message.

    Raises:
        HttpError: 408, 413, 415.
        InvalidArgumentError: the body does not match its content encoding.
        ClientGoneError: the client has disconnected.
    """
    announced = headers.first(b"content-type")
    limit = yaml_max if _media_type(announced) in YAML_TYPES else MAX_MESSAGE_BYTES
    data = await _arrived(receive, headers, limit)
    if not data.strip():
        return None
    kind = _kind(announced)
    data = _decompressed(data, headers.first(b"content-encoding"), limit)
    if not data.strip():
        return None
    return Body(data, is_yaml=kind in YAML_TYPES)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _kind(content_type: str) -> str:
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [parameter.removeprefix("charset=").strip('"') for parameter in parameters if "charset" in parameter]
    if kind not in JSON_TYPES | YAML_TYPES or any(charset not in {"utf-8", "utf8"} for charset in charsets):
        text = f"the content type must be application/json or application/yaml in UTF-8 {got(content_type)}"
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
        error = DeadlineExceededError(ErrorReason.DEADLINE, f"the body must be complete after {ARRIVAL_SECONDS:.0f} s")
        raise HttpError(408, error, {"connection": "close"}) from None


def _decompressed(data: bytes, encoding: str, limit: int) -> bytes:
    match encoding.strip().lower():
        case "" | "identity":
            return data
        case "gzip" | "x-gzip":
            return _gunzip(data, limit)
    raise _unsupported(f"the content encoding must be gzip or identity {got(encoding)}", {"accept-encoding": "gzip"})


def _gunzip(data: bytes, limit: int) -> bytes:
    inflator = zlib.decompressobj(GZIP_WINDOW)
    ratio_limit = max(GZIP_FREE_BYTES, GZIP_RATIO_MAX * len(data))
    try:
        plain = inflator.decompress(data, min(limit, ratio_limit) + 1)
    except zlib.error:
        raise malformed("the body is not in gzip format") from None
    if len(plain) > limit:
        raise _too_large(limit)
    if len(plain) > ratio_limit:
        text = f"after decompression the body must be at most {ratio_limit} bytes, {GZIP_RATIO_MAX} times its size"
        raise HttpError(413, ResourceExhaustedError(ErrorReason.TOO_LARGE, f"{text} in gzip format (got more)"))
    if not inflator.eof or inflator.unused_data:
        raise malformed("the body must be exactly one gzip member")
    return plain


def _too_large(limit: int) -> HttpError:
    error = ResourceExhaustedError(ErrorReason.TOO_LARGE, f"the body must be at most {limit} bytes after decompression")
    return HttpError(413, error)


def _unsupported(text: str, headers: dict[str, str]) -> HttpError:
    return HttpError(415, InvalidArgumentError(ErrorReason.UNSUPPORTED_MEDIA_TYPE, text), headers)
