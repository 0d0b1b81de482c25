"""Polls the result of a call that an HTTP tool has accepted with 202: which address, and what its responses mean."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from yarl import URL

from ordinaut.expressions import ExpressionError, compile_expression
from pipeline_engine.data.failure import DENIED, EXPRESSION, TOOL_ERROR, Failure
from pipeline_engine.interpreter.requests import Accepted, Call, Output
from pipeline_engine.tools.checks.url_check import url_problem
from pipeline_engine.tools.definition import HttpTarget, Polling
from pipeline_engine.tools.response_rule import envelope_of
from pipeline_engine.tools.responses import RETRYABLE_STATUS, outcome_of_response, response_details
from pipeline_engine.tools.retry_after import retry_after_seconds

ACCEPTED = 202


def accepted(
    target: HttpTarget, polling: Polling, url: URL, headers: Mapping[str, str], text: bytes
) -> Accepted | Failure:
    """Interprets the response 202 to a call: an Accepted, or the failure of a Location that cannot be polled."""
    if headers.get("Location"):
        return _next(target, polling, url, ACCEPTED, headers, text)
    message = "the tool answered 202 without a Location, so its result cannot be polled"
    details = response_details(ACCEPTED, headers, text)
    return Failure(TOOL_ERROR, message, details=details, may_have_happened=True)


def poll_outcome(
    target: HttpTarget, polling: Polling, url: URL, status: int, headers: Mapping[str, str], text: bytes
) -> Output | Failure | Accepted:
    """Interprets the response to a poll: the result, a final failure, or an Accepted to poll again.

    The call was accepted, so a response that reports a problem of the poll itself leaves its outcome unknown.
    """
    if status == ACCEPTED or (300 <= status < 400 and headers.get("Location")):
        return _next(target, polling, url, status, headers, text)
    if (status in RETRYABLE_STATUS or status >= 500) and not target.response.accepts(status):
        return Accepted(str(url), _delay(polling, headers))
    outcome = outcome_of_response(status, headers, text, target.response)
    if isinstance(outcome, Failure):
        return _unknown(outcome)
    body = outcome.value["body"] if target.response.envelope else outcome.value
    names = [name.lower() for name in headers]
    return _decided(polling, envelope_of(status, headers, body, names), outcome, str(url), _delay(polling, headers))


def polled_again(request: Call, failure: Failure) -> Failure | Accepted:
    """Returns the outcome of a poll that failed: polled again after a lost connection, otherwise unknown."""
    polling = request.tool.http.polling if request.tool.http is not None else None
    if failure.retryable and polling is not None:
        return Accepted(request.location, polling.interval)
    return failure if failure.code == TOOL_ERROR else replace(failure, may_have_happened=True)


def _decided(
    polling: Polling, roots: Mapping[str, Any], outcome: Output, url: str, delay: float
) -> Output | Failure | Accepted:
    try:
        if polling.failed and compile_expression(polling.failed).holds(roots):
            return Failure(TOOL_ERROR, "the tool reports that the accepted call has failed", details=outcome.details)
        is_done = not polling.done or compile_expression(polling.done).holds(roots)
    except ExpressionError as error:
        message = f"the condition on the result of an accepted call: {error.message}"
        return Failure(EXPRESSION, message, details=outcome.details, may_have_happened=True)
    return outcome if is_done else Accepted(url, delay)


def _next(
    target: HttpTarget, polling: Polling, url: URL, status: int, headers: Mapping[str, str], text: bytes
) -> Accepted | Failure:
    """Returns where to poll next: at the Location, else at the same address."""
    location = headers.get("Location")
    address = url
    if location:
        try:
            address = url.join(URL(location)).with_fragment(None)
        except ValueError:
            return _refused(target, status, headers, text, "it is not a URL")
        problem = location_problem(target, polling, address)
        if problem is not None:
            return _refused(target, status, headers, text, problem)
    return Accepted(str(address), _delay(polling, headers))


def _refused(target: HttpTarget, status: int, headers: Mapping[str, str], text: bytes, problem: str) -> Failure:
    details = {**response_details(status, headers, text), "reason": "LOCATION_DENIED"}
    message = f"the Location of an accepted call is not polled: {problem}"
    return Failure(DENIED, message, details=details, may_have_happened=True)


def location_problem(target: HttpTarget, polling: Polling, address: URL) -> str | None:
    """Returns why an address is not polled, or None. The egress guard checks it again when it connects."""
    if (problem := url_problem(str(address))) is not None:
        return problem
    own = URL(target.url.partition("{")[0], encoded=True)
    if address.origin() == own.origin():
        return None
    host = (address.host or "").lower()
    listed = {host, f"{host}:{address.port}"} if address.is_default_port() else {f"{host}:{address.port}"}
    if listed.isdisjoint(name.lower() for name in polling.hosts):
        return f"`polling.hosts` does not contain {address.authority}"
    if address.scheme != "https" and own.scheme == "https":
        return "its scheme must be https, as that of the tool"
    return None


def has_own_origin(target: HttpTarget, address: URL) -> bool:
    """Whether an address may receive the headers and the authentication of the tool."""
    return address.origin() == URL(target.url.partition("{")[0], encoded=True).origin()


def _delay(polling: Polling, headers: Mapping[str, str]) -> float:
    return max(polling.interval, retry_after_seconds(headers.get("Retry-After", ""), headers.get("Date", "")))


def _unknown(failure: Failure) -> Failure:
    message = f"polling the result of an accepted call: {failure.message}"
    return Failure(failure.code, message, details=failure.details, may_have_happened=True)
