"""Validates the `auth` of an HTTP tool for registration."""

from collections.abc import Iterator, Mapping
from typing import Any

from ordinaut.errors import Violation
from ordinaut.names import SECRET
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import quoted
from pipeline_engine.tools.checks.headers import header_problem

SCHEMES = ("bearer", "basic", "header")
MAX_USER = 128
AUTHORIZATION = "authorization"


def auth_violations(http: Mapping[str, Any]) -> Iterator[Violation]:
    """Yields every reason why a transport's `auth` cannot be registered."""
    auth = http.get("auth")
    if auth is None:
        return
    scheme, options = next(iter(auth.items()), ("", None)) if isinstance(auth, dict) else ("", None)
    if scheme not in SCHEMES or not isinstance(options, dict):
        message = f"must be an object with one of {', '.join(SCHEMES)}"
        yield _violation("", message, ErrorReason.FIELD_REQUIRED)
        return
    if not SECRET.fullmatch(str(options.get("secret", ""))):
        # The received text is not quoted: it may be a secret's value.
        message = f"must be the name of a secret, {SECRET.pattern}; its value belongs in the engine's secrets folder"
        yield _violation(f".{scheme}.secret", message, ErrorReason.NAME_INVALID)
    user = str(options.get("user", ""))
    if len(user) > MAX_USER or ":" in user or not (user.isascii() and user.isprintable()):
        message = f"must be at most {MAX_USER} characters of printable ASCII without a colon (got {quoted(user)})"
        yield _violation(".basic.user", message)
    yield from _header(scheme, str(options.get("name", "")), http.get("headers") or {})


def _header(scheme: str, name: str, headers: Mapping[str, Any]) -> Iterator[Violation]:
    problem = header_problem(name, "") if scheme == "header" and name.lower() != AUTHORIZATION else None
    if problem is not None:
        yield _violation(".header.name", problem)
    elif name.lower() in {header.lower() for header in headers}:
        yield _violation(".header.name", f"the header {name} is already set in `headers`")


def _violation(place: str, message: str, reason: ErrorReason.ValueType = ErrorReason.INVALID_TRANSPORT) -> Violation:
    return Violation(f"http.auth{place}", message, reason)
