"""What is refused before anybody reads further: oversized heads, tokens in URLs; and a name for every exchange."""

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_plus

from gateway.rest.errors import HttpRefusalError, refusal
from gateway.rest.transcoding.body import Receive
from gateway.rest.transcoding.headers import Headers
from gateway.rest.transcoding.response import Send, send_body
from ordinaut.errors import InvalidArgumentError, ResourceExhaustedError
from ordinaut.v1.error_pb2 import ErrorReason

URL_MAX_BYTES = 8 * 1024
HEADERS_MAX = 100
HEADERS_MAX_BYTES = 16 * 1024
REQUEST_ID = re.compile(r"[!-~]{1,128}")
TOKEN_NAMES = re.compile(r"(?:^|&)(?:access_?token|api_?key|auth(?:orization)?|bearer|token)=", re.IGNORECASE)
TOKEN = re.compile(r"ord_[0-9a-f]{16}_")
Application = Callable[[Any, Receive, Send], Awaitable[None]]


class Edge:
    """Wraps the whole HTTP application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Lets a request pass, or answers it."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = Headers(scope["headers"])
        named = _named(send, headers)
        refused = _refused(scope)
        if refused is None:
            await self._application(scope, receive, named)
            return
        answer = refusal(refused)
        await send_body(named, headers, answer.status, answer.headers, answer.body)


def _refused(scope: Any) -> HttpRefusalError | None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > URL_MAX_BYTES:
        return HttpRefusalError(
            414, ResourceExhaustedError(ErrorReason.TOO_LARGE, f"a URL may have {URL_MAX_BYTES} bytes")
        )
    headers = scope["headers"]
    if len(headers) > HEADERS_MAX or sum(len(key) + len(value) for key, value in headers) > HEADERS_MAX_BYTES:
        text = f"a request may have {HEADERS_MAX} headers of {HEADERS_MAX_BYTES} bytes together"
        return HttpRefusalError(431, ResourceExhaustedError(ErrorReason.TOO_LARGE, text))
    if _shows_token(scope["query_string"]):
        text = "a token belongs into the header Authorization; this one has been seen by others: revoke it"
        return HttpRefusalError(400, InvalidArgumentError(ErrorReason.TOKEN_IN_URL, text))
    return None


def _shows_token(query: bytes) -> bool:
    text = unquote_plus(query.decode("latin-1"))
    return bool(text) and bool(TOKEN_NAMES.search(text) or TOKEN.search(text))


def _named(send: Send, headers: Headers) -> Send:
    """Every answer carries the id that the caller chose, or one of ours."""
    shown = headers.first(b"x-request-id")
    name = shown if REQUEST_ID.fullmatch(shown) else secrets.token_hex(8)

    async def named(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(b"x-request-id", name.encode()), (b"x-content-type-options", b"nosniff")]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        await send(message)

    return named
