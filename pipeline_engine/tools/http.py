"""Calls HTTP tools with JSON input and output. Every outcome is data: an output or a failure."""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from ordinaut.limits import MAX_JSON_BYTES
from pipeline_engine.data.failure import DENIED, PAYLOAD_TOO_LARGE, TOOL_ERROR, VALIDATION_INPUT, Failure
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.data.schemas import pointer
from pipeline_engine.interpreter.requests import Accepted, Call, Output
from pipeline_engine.language.secret_places import SecretUse
from pipeline_engine.tools.definition import FORM, HttpTarget, Polling
from pipeline_engine.tools.egress import Egress, EgressDeniedError
from pipeline_engine.tools.http_sessions import HttpSessions
from pipeline_engine.tools.polling import (
    ACCEPTED,
    accepted,
    has_own_origin,
    location_problem,
    poll_outcome,
    polled_again,
)
from pipeline_engine.tools.responses import failure_of, internal_error, outcome_of_response, response_details
from pipeline_engine.tools.retry_after import ToolHolds
from pipeline_engine.tools.secret_bindings import Destination
from pipeline_engine.tools.secret_files import SecretError, SecretFiles
from pipeline_engine.tools.secret_use import OpenedCall, fill_secrets
from pipeline_engine.tools.url_template import MAX_URL_BYTES, UrlInputError, fill_url

NO_SECRETS = SecretFiles(None)


class HttpTools:
    """The engine's HTTP client; create it in the running event loop, and `close` it.

    `holds` learns which tools have asked to wait with Retry-After.
    """

    def __init__(
        self,
        egress: Egress,
        *,
        connections: int = 512,
        secrets: SecretFiles = NO_SECRETS,
        holds: ToolHolds | None = None,
    ) -> None:
        self._egress = egress
        self._holds = holds
        self._secrets = secrets
        self._sessions = HttpSessions(egress, connections)

    async def close(self) -> None:
        """Closes every connection."""
        await self._sessions.close()

    async def call(self, request: Call) -> Output | Failure | Accepted:
        """Sends one request; the caller applies the timeout."""
        outcome = await self._call(request)
        if request.location and isinstance(outcome, Failure):
            outcome = polled_again(request, outcome)
        if self._holds is not None and isinstance(outcome, Failure) and outcome.retry_after > 0:
            self._holds.hold(request.tool, outcome.retry_after)
        return outcome

    async def _call(self, request: Call) -> Output | Failure | Accepted:
        target = request.tool.http
        if target is None:
            return Failure(TOOL_ERROR, f"the transport of {request.tool.name} is not supported by this engine")
        if request.secrets is not None:
            return await self._call_with_secrets(target, request, request.secrets)
        try:
            return await self._send(target, request, {}, lambda text: text)
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            return failure_of(failure)

    async def _call_with_secrets(
        self, target: HttpTarget, request: Call, use: SecretUse
    ) -> Output | Failure | Accepted:
        """Sends one request with secrets, and masks them in the outcome."""
        try:
            opened = self._opened(request, use, target)
        except SecretError as refused:
            details = {"reason": refused.kind, "secret": refused.name}
            return Failure(DENIED, f"{refused}, for {request.tool.name}", details=details)
        except PayloadError as error:
            return Failure(PAYLOAD_TOO_LARGE, f"the input with the secrets inserted: {error}")
        try:
            outcome = await self._send(target, opened.call, opened.headers, opened.mask.body)
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            outcome = failure_of(failure)
        except Exception as defect:  # noqa: BLE001 - the exception's text and traceback could contain a secret
            outcome = internal_error(defect)
        if not isinstance(outcome, Accepted):
            return opened.mask.outcome(outcome)
        if opened.mask.text(outcome.location) == outcome.location:
            return outcome
        message = "the Location of an accepted call contains a secret, so it is not recorded and not polled"
        return Failure(DENIED, message, details={"reason": "LOCATION_DENIED"}, may_have_happened=True)

    def _opened(self, request: Call, use: SecretUse, target: HttpTarget) -> OpenedCall:
        """Fills in the secrets, each of which must be bound to this tool and host; placeholders are not in the host."""
        url = URL(target.url, encoded=True)
        destination = Destination(request.tool.name, url.host or "", url.port or 0)

        def permit(project: str, name: str, place: str) -> None:
            self._secrets.check_destination(project, name, destination, place)

        return fill_secrets(request, use, target.auth, self._secrets.get, permit)

    async def _send(
        self, target: HttpTarget, request: Call, auth: Mapping[str, str], mask: Callable[[bytes], bytes]
    ) -> Output | Failure | Accepted:
        """Sends the request with the `auth` headers, and masks the response before it is interpreted."""
        if request.location:
            return await self._poll(target, request, auth, mask)
        headers = {**target.headers, **auth, "Idempotency-Key": request.idempotency_key}
        address, body, value = target.url, request.body, request.input
        if "{" in address:
            try:
                address, value = fill_url(address, value)
            except UrlInputError as error:
                return Failure(VALIDATION_INPUT, str(error), pointer=pointer([error.name]))
            body = write(value)
        url = URL(address, encoded=True)
        self._check_numeric_host(url)
        if target.method == "GET":
            url = url.update_query(query_of(value))
        else:
            headers["Content-Type"] = target.content_type
            if target.content_type == FORM:
                body = urlencode(query_of(value)).encode()
        if (size := len(url.raw_path_qs)) > MAX_URL_BYTES:
            message = f"the path and query of the URL must be at most {MAX_URL_BYTES} bytes (got {size})"
            return Failure(PAYLOAD_TOO_LARGE, message)
        content = None if target.method == "GET" else body
        async with self._sessions.request(request, target.method, url, content, headers) as response:
            text = await _read_limited(response)
            if isinstance(text, Failure):
                details = response_details(response.status, response.headers, b"")
                return replace(text, details=details, may_have_happened=not 300 <= response.status < 500)
            if target.polling is not None and response.status == ACCEPTED:
                return accepted(target, target.polling, url, response.headers, mask(text))
            return outcome_of_response(response.status, response.headers, mask(text), target.response)

    async def _poll(
        self, target: HttpTarget, request: Call, auth: Mapping[str, str], mask: Callable[[bytes], bytes]
    ) -> Output | Failure | Accepted:
        """Asks for the result of an accepted call; other origins get no headers of the tool."""
        url, polling = URL(request.location, encoded=True), target.polling or Polling()
        if (problem := location_problem(target, polling, url)) is not None:
            return Failure(DENIED, f"the Location of an accepted call is not polled: {problem}", may_have_happened=True)
        self._check_numeric_host(url)
        headers = {**target.headers, **auth} if has_own_origin(target, url) else {}
        async with self._sessions.request(request, "GET", url, None, headers) as response:
            text = await _read_limited(response)
            if isinstance(text, Failure):
                return replace(text, may_have_happened=True)
            return poll_outcome(target, polling, url, response.status, response.headers, mask(text))

    def _check_numeric_host(self, url: URL) -> None:
        """Checks hosts such as `127.1`, `2130706433` and `0177.0.0.1`.

        The operating system resolves them to an address, but Python's ipaddress does not accept them.
        """
        try:
            address = socket.inet_ntoa(socket.inet_aton(url.raw_host or ""))
        except OSError:
            return
        if not self._egress.permits(address, url.port or 0):
            raise EgressDeniedError(address)


def query_of(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns an input as parameters: strings verbatim, lists repeated, null omitted, all else as JSON.

    >>> query_of({"city": "Porto", "day": [1, 2], "all": True, "none": None})
    [('city', 'Porto'), ('day', '1'), ('day', '2'), ('all', 'true')]
    """
    return [
        (key, part if isinstance(part, str) else json.dumps(part, separators=(",", ":")))
        for key, item in value.items()
        for part in (item if isinstance(item, list) else [item])
        if part is not None
    ]


async def _read_limited(response: aiohttp.ClientResponse) -> bytes | Failure:
    if response.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
        encoding = response.headers["Content-Encoding"][:100]
        return Failure(TOOL_ERROR, f"the response is compressed ({encoding}), which the request did not accept")
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > MAX_JSON_BYTES:
            return Failure(PAYLOAD_TOO_LARGE, "the response must be at most 1 MiB")
    return bytes(parts)
