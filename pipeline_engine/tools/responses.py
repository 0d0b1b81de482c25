"""Interprets what came back from an HTTP tool: a response, or an exception of the HTTP client."""

import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp

from ordinaut.telemetry import error_id
from pipeline_engine.data.failure import (
    DENIED,
    PAYLOAD_TOO_LARGE,
    TOOL_ERROR,
    TOOL_UNAVAILABLE,
    VALIDATION_OUTPUT,
    Failure,
)
from pipeline_engine.data.payload import PayloadError, read
from pipeline_engine.interpreter.requests import Output
from pipeline_engine.tools.egress import EgressDeniedError
from pipeline_engine.tools.response_rule import ResponseRule
from pipeline_engine.tools.retry_after import retry_after_seconds

DEFAULT_RULE = ResponseRule()
RETRYABLE_STATUS = frozenset({408, 425, 429})
NOT_MODIFIED = 304
EXCERPT = 500
"""Number of bytes of a response that a failure includes."""
MAX_HEADER_EXCERPT = 500
"""Number of characters of a response header that a failure includes."""
TLS_ALERT = r"b'\x15\x03"
"""How the HTTP parser shows the first bytes of a TLS alert."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def outcome_of_response(
    status: int, headers: Mapping[str, str], text: bytes, rule: ResponseRule = DEFAULT_RULE
) -> Output | Failure:
    """Interprets a response: an output if `rule` accepts the status; 5xx, 408, 425 and 429 are retryable failures.

    3xx and 4xx are definite refusals: the tool has not done anything. After 5xx the call may have happened.
    """
    details = response_details(status, headers, text)
    if rule.accepts(status):
        return _output(status, headers, text, details, rule)
    if 200 <= status < 300:
        message = f"the tool answered {status}, which `response.success` does not contain"
        return Failure(TOOL_ERROR, message, details=details, may_have_happened=True)
    if 300 <= status < 400:
        return Failure(TOOL_ERROR, _redirect_message(status, details), details=details)
    message = f"the tool answered {status}"
    if status < 200:
        return Failure(TOOL_ERROR, f"{message}, which is not a final response", details=details, may_have_happened=True)
    retry_after = retry_after_seconds(headers.get("Retry-After", ""), headers.get("Date", ""))
    if status >= 500:
        return Failure(
            TOOL_UNAVAILABLE, message, retryable=True, details=details, may_have_happened=True, retry_after=retry_after
        )
    retryable = status in RETRYABLE_STATUS
    return Failure(
        TOOL_ERROR, message, retryable=retryable, details=details, retry_after=retry_after if retryable else 0.0
    )


def response_details(status: int, headers: Mapping[str, str], text: bytes) -> dict[str, Any]:
    """Returns what came back, for `error.details`: the status, an excerpt of the body, Location and Retry-After."""
    details: dict[str, Any] = {"status": status}
    if text:
        details["body"] = text[:EXCERPT].decode("utf-8", "replace").replace("\0", "")
    for key, name in (("location", "Location"), ("retry_after", "Retry-After")):
        if headers.get(name):
            details[key] = headers[name][:MAX_HEADER_EXCERPT]
    return details


def _redirect_message(status: int, details: Mapping[str, Any]) -> str:
    if status == NOT_MODIFIED:
        return "the tool answered 304 (not modified), which has no content, although the request has no condition"
    target = f" to {details['location']}" if "location" in details else " without a Location"
    return f"the tool answered {status}, a redirect{target}; redirects are not followed"


def _output(
    status: int, headers: Mapping[str, str], text: bytes, details: Mapping[str, Any], rule: ResponseRule
) -> Output | Failure:
    """Parses an output. After an unreadable response the call may have happened, but its output is unknown."""
    try:
        return Output(rule.output(status, headers, read(text.removeprefix(BYTE_ORDER_MARK))), details, len(text))
    except PayloadError as error:
        if error.too_large:
            return Failure(PAYLOAD_TOO_LARGE, str(error), details=details, may_have_happened=True)
        if rule.envelope and "json" not in headers.get("Content-Type", "").lower():
            return Output(rule.output(status, headers, text.decode("utf-8", "replace").replace("\0", "")), details)
        kind = headers.get("Content-Type", "")
        if "json" in kind.lower():
            return Failure(VALIDATION_OUTPUT, str(error), details=details, may_have_happened=True)
        message = f"the response must be JSON (got content type {kind[:100] or '(none)'})"
        return Failure(TOOL_ERROR, message, details=details, may_have_happened=True)


def failure_of(failure: Exception) -> Failure:
    """Converts an exception of the HTTP client into a failure with a text that does not depend on the library.

    A text of the library would name addresses, ports and files, which the reader of a run need not know; it is logged
    under the `error_id` of the details. What the HTTP parser rejects are bytes of the response, which are quoted.
    A failed connect proves that the request was not sent. Every other error may occur after the tool has received the
    request, so `may_have_happened` is set unless the error is known to precede the request.
    """
    cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
    if isinstance(cause, EgressDeniedError):
        return _recorded(failure, DENIED, "the egress policy denies the address of the tool", reason="EGRESS_DENIED")
    if isinstance(failure, aiohttp.ClientConnectorError):
        return _recorded(
            failure, TOOL_UNAVAILABLE, f"no connection to the tool: {_cause(failure, cause)}", retryable=True
        )
    if isinstance(failure, aiohttp.ClientResponseError):
        # The status of this exception is 400 whatever the tool has answered, so it is not repeated here.
        hint = "; the port answers with TLS: use https://" if TLS_ALERT in failure.message else ""
        text = f"the response of the tool is not valid HTTP: {failure.message}"[:EXCERPT] + hint
        return _recorded(failure, TOOL_ERROR, text, reason="INVALID_RESPONSE", may_have_happened=True)
    if isinstance(failure, aiohttp.InvalidURL):
        return _recorded(failure, TOOL_ERROR, "the URL of the tool is not valid")
    if isinstance(failure, ValueError):
        return _recorded(failure, TOOL_ERROR, "the request to the tool cannot be written", may_have_happened=True)
    unsent = isinstance(failure, aiohttp.ConnectionTimeoutError)
    text = "no connection to the tool in time" if unsent else "the connection to the tool was lost"
    return _recorded(failure, TOOL_UNAVAILABLE, text, retryable=True, may_have_happened=not unsent)


def internal_error(defect: Exception) -> Failure:
    """A defect during a call; its text could contain a secret, so that only its type is logged."""
    reference = error_id("tool_call_defect", RuntimeError(type(defect).__name__))
    return Failure(TOOL_ERROR, f"internal error ({reference})", details={"error_id": reference}, may_have_happened=True)


def _recorded(
    failure: Exception,
    code: str,
    text: str,
    *,
    reason: str = "",
    retryable: bool = False,
    may_have_happened: bool = False,
) -> Failure:
    details = {"error_id": error_id("tool_call_failed", failure)}
    if reason:
        details["reason"] = reason
    return Failure(code, text, retryable=retryable, details=details, may_have_happened=may_have_happened)


def _cause(failure: aiohttp.ClientConnectorError, cause: Exception) -> str:
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return "its host cannot be resolved"
    if isinstance(failure, aiohttp.ClientConnectorCertificateError) or isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate is not valid"
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed{_tls_hint(cause)}"
    if isinstance(cause, ConnectionRefusedError):
        return "its port refuses connections"
    return "its host cannot be reached"


def _tls_hint(cause: ssl.SSLError) -> str:
    """Explains the error of OpenSSL when the first bytes of the server are not TLS."""
    reasons = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"}
    is_plain = cause.reason in reasons
    return "; the port does not answer with TLS: use http:// if it serves plain HTTP" if is_plain else ""
