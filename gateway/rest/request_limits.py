"""Limits of URL and headers, a check for tokens in URLs, and request ids; applied before the application."""

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_plus

from gateway.api.violations import at_most
from gateway.rest.errors import HttpError, error_response
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
TOKEN = re.compile(r"ord_[0-9a-f]{16}_|ord1_[a-z2-7]{16}_")
Application = Callable[[Any, Receive, Send], Awaitable[None]]


class RequestLimits:
    """ASGI middleware around the whole HTTP application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Forwards a request, or rejects it."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = Headers(scope["headers"])
        send_with_id = _with_request_id(send, headers)
        error = _error(scope)
        if error is None:
            await self._application(scope, receive, send_with_id)
            return
        response = error_response(error)
        await send_body(send_with_id, headers, response.status, response.headers, response.body)


def _error(scope: Any) -> HttpError | None:
    url_bytes = len(scope["raw_path"]) + len(scope["query_string"])
    if url_bytes > URL_MAX_BYTES:
        text = f"the URL {at_most(URL_MAX_BYTES, 'bytes', url_bytes)}"
        return HttpError(414, ResourceExhaustedError(ErrorReason.TOO_LARGE, text))
    headers = scope["headers"]
    header_bytes = sum(len(key) + len(value) for key, value in headers)
    if len(headers) > HEADERS_MAX or header_bytes > HEADERS_MAX_BYTES:
        limits = f"at most {HEADERS_MAX} headers with {HEADERS_MAX_BYTES} bytes"
        text = f"the request must have {limits} (got {len(headers)} with {header_bytes} bytes)"
        return HttpError(431, ResourceExhaustedError(ErrorReason.TOO_LARGE, text))
    if _has_token(scope["query_string"]):
        text = "a token must be sent in the header Authorization; URLs are logged, so revoke this token"
        return HttpError(400, InvalidArgumentError(ErrorReason.TOKEN_IN_URL, text))
    return None


def _has_token(query: bytes) -> bool:
    text = unquote_plus(query.decode("latin-1"))
    return bool(text) and bool(TOKEN_NAMES.search(text) or TOKEN.search(text))


def _with_request_id(send: Send, headers: Headers) -> Send:
    """Wraps `send` to add the header X-Request-Id: the id from the request, or a new one."""
    received = headers.first(b"x-request-id")
    request_id = received if REQUEST_ID.fullmatch(received) else secrets.token_hex(8)

    async def send_with_id(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            extra = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return send_with_id
