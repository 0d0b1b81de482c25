"""Calls HTTP tools: JSON in, JSON out, every outcome as data."""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
from yarl import URL

from ordinaut.limits import MAX_JSON_BYTES
from pipeline_engine.data.failure import (
    DENIED,
    PAYLOAD_TOO_LARGE,
    TOOL_ERROR,
    TOOL_UNAVAILABLE,
    VALIDATION_OUTPUT,
    Failure,
)
from pipeline_engine.data.payload import PayloadError, read
from pipeline_engine.interpreter.requests import Call, Output
from pipeline_engine.language.secret_places import SecretUse
from pipeline_engine.tools.definition import HttpTarget
from pipeline_engine.tools.egress import Egress, EgressDeniedError
from pipeline_engine.tools.secret_files import SecretError, SecretFiles
from pipeline_engine.tools.secret_use import Secrets, open_call
from pipeline_engine.tools.sessions import Sessions

RETRYABLE_STATUS = frozenset({408, 425, 429})
EXCERPT = 500
"""Characters of a refusal's body that go into the error."""
MAX_QUERY = 16 * 1024
NO_SECRETS = SecretFiles(None).get


class HttpTools:
    """The engine's HTTP client, with secrets by project and name; create it in the running loop, and `close` it."""

    def __init__(self, egress: Egress, *, connections: int = 512, secrets: Secrets = NO_SECRETS) -> None:
        self._egress = egress
        self._secrets = secrets
        self._sessions = Sessions(egress, connections)

    async def close(self) -> None:
        """Closes every connection."""
        await self._sessions.close()

    async def call(self, request: Call) -> Output | Failure:
        """One request; its time limit is the caller's."""
        target = request.tool.http
        if target is None:
            return Failure(TOOL_ERROR, f"{request.tool.name} has no transport that this engine speaks")
        if request.secrets is not None:
            return await self._call_with_secrets(target, request, request.secrets)
        try:
            return await self._send(target, request, {}, lambda text: text)
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            return failure_of(failure)

    async def _call_with_secrets(self, target: HttpTarget, request: Call, use: SecretUse) -> Output | Failure:
        """The same with secrets in it, and nothing of them in what comes back."""
        try:
            opened = open_call(request, use, target.auth, self._secrets)
        except SecretError as refused:
            details = {"reason": "SECRET_UNAVAILABLE", "secret": refused.name}
            return Failure(DENIED, f"{refused}, for {request.tool.name}", details=details)
        except PayloadError as error:
            return Failure(PAYLOAD_TOO_LARGE, f"the input with its secrets: {error}")
        try:
            outcome = await self._send(target, opened.call, opened.headers, opened.mask.body)
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            outcome = failure_of(failure)
        except Exception as defect:  # noqa: BLE001 - whose text and traceback could hold a secret
            outcome = Failure(TOOL_ERROR, f"internal error: {type(defect).__name__}", unclear=True)
        return opened.mask.outcome(outcome)

    async def _send(
        self, target: HttpTarget, request: Call, more: Mapping[str, str], mask: Callable[[bytes], bytes]
    ) -> Output | Failure:
        """`more` are headers, `mask` is what the answer goes through before anything else sees it."""
        headers = {**target.headers, **more, "Idempotency-Key": request.idempotency_key}
        url = URL(target.url, encoded=True)
        self._refuse_disguised(url)
        body: bytes | None = request.body
        if target.method == "GET":
            url, body = url.update_query(query_of(request.input)), None
            if len(url.raw_query_string) > MAX_QUERY:
                return Failure(PAYLOAD_TOO_LARGE, f"the query is larger than {MAX_QUERY} bytes")
        else:
            headers["Content-Type"] = "application/json"
        async with self._sessions.request(request, target.method, url, body, headers) as response:
            text = await _read_limited(response)
            if isinstance(text, Failure):
                return replace(text, unclear=not 300 <= response.status < 500)
            return answer(response.status, response.headers, mask(text))

    def _refuse_disguised(self, url: URL) -> None:
        """Judges `127.1`, `2130706433` and `0177.0.0.1` as the addresses that they are to the operating system."""
        try:
            address = socket.inet_ntoa(socket.inet_aton(url.raw_host or ""))
        except OSError:
            return
        if not self._egress.permits(address, url.port or 0):
            raise EgressDeniedError(f"{url.raw_host} is {address}, which is closed to tools")


def query_of(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    """An input as a query: texts as they are, lists repeated, null left out, everything else as JSON."""
    return [
        (key, part if isinstance(part, str) else json.dumps(part, separators=(",", ":")))
        for key, item in value.items()
        for part in (item if isinstance(item, list) else [item])
        if part is not None
    ]


async def _read_limited(response: aiohttp.ClientResponse) -> bytes | Failure:
    if response.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
        return Failure(TOOL_ERROR, "the answer is compressed though that was not asked for")
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > MAX_JSON_BYTES:
            return Failure(PAYLOAD_TOO_LARGE, "the answer is larger than 1 MiB")
    return bytes(parts)


def answer(status: int, headers: Mapping[str, str], text: bytes) -> Output | Failure:
    """What a response means."""
    if 200 <= status < 300:
        return _output(headers, text)
    details: dict[str, Any] = {"status": status}
    if text:
        details["body"] = text[:EXCERPT].decode("utf-8", "replace").replace("\0", "")
    if 300 <= status < 400:
        return Failure(TOOL_ERROR, f"the tool answered {status}; redirects are not followed", details=details)
    if status >= 500:
        return Failure(TOOL_UNAVAILABLE, f"the tool answered {status}", retryable=True, details=details, unclear=True)
    return Failure(TOOL_ERROR, f"the tool answered {status}", retryable=status in RETRYABLE_STATUS, details=details)


def _output(headers: Mapping[str, str], text: bytes) -> Output | Failure:
    """The output; of a call whose answer cannot be read it is unclear what it gave."""
    try:
        return Output(read(text))
    except PayloadError as error:
        if error.too_large:
            return Failure(PAYLOAD_TOO_LARGE, str(error), unclear=True)
        kind = headers.get("Content-Type", "")
        if "json" in kind.lower():
            return Failure(VALIDATION_OUTPUT, str(error), unclear=True)
        return Failure(TOOL_ERROR, f"the answer is not JSON but {kind[:100] or 'of no stated type'}", unclear=True)


def failure_of(failure: Exception) -> Failure:
    """What an exception of the client means for the step."""
    cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
    if isinstance(cause, EgressDeniedError):
        return Failure(DENIED, str(cause), details={"reason": "EGRESS_DENIED"})
    if isinstance(failure, aiohttp.ClientConnectorError):
        return Failure(TOOL_UNAVAILABLE, f"no connection to {failure.host}:{failure.port}: {cause}", retryable=True)
    text = f"{type(failure).__name__}: {failure}"[:EXCERPT]
    if isinstance(failure, aiohttp.ConnectionTimeoutError):
        return Failure(TOOL_UNAVAILABLE, text, retryable=True)
    if isinstance(failure, aiohttp.InvalidURL):
        return Failure(TOOL_ERROR, text)
    if isinstance(failure, aiohttp.ClientResponseError | ValueError):
        return Failure(TOOL_ERROR, text, unclear=True)
    return Failure(TOOL_UNAVAILABLE, text, retryable=True, unclear=True)
