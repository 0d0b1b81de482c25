"""Whether the `auth` of an HTTP tool can be registered."""

from collections.abc import Iterator, Mapping
from typing import Any

from ordinaut.errors import Violation
from ordinaut.names import SECRET
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.tools.headers import header_problem

SCHEMES = ("bearer", "basic", "header")
MAX_USER = 128
AUTHORIZATION = "authorization"


def auth_violations(http: Mapping[str, Any]) -> Iterator[Violation]:
    """Every reason why a transport's `auth` cannot be registered."""
    auth = http.get("auth")
    if auth is None:
        return
    scheme, given = next(iter(auth.items()), ("", None)) if isinstance(auth, dict) else ("", None)
    if scheme not in SCHEMES or not isinstance(given, dict):
        yield _wrong("", f"one of {', '.join(SCHEMES)} is expected", ErrorReason.FIELD_REQUIRED)
        return
    if not SECRET.fullmatch(str(given.get("secret", ""))):
        message = f"the name of a secret is expected, {SECRET.pattern}; its value belongs into a file of the engine's"
        yield _wrong(f".{scheme}.secret", message, ErrorReason.NAME_INVALID)
    user = str(given.get("user", ""))
    if len(user) > MAX_USER or ":" in user or not (user.isascii() and user.isprintable()):
        yield _wrong(".basic.user", f"at most {MAX_USER} characters of printable ASCII without a colon are expected")
    yield from _header(scheme, str(given.get("name", "")), http.get("headers") or {})


def _header(scheme: str, name: str, headers: Mapping[str, Any]) -> Iterator[Violation]:
    problem = header_problem(name, "") if scheme == "header" and name.lower() != AUTHORIZATION else None
    if problem is not None:
        yield _wrong(".header.name", problem)
    elif name.lower() in {header.lower() for header in headers}:
        yield _wrong(".header.name", "this header stands among `headers` already")


def _wrong(place: str, message: str, reason: ErrorReason.ValueType = ErrorReason.INVALID_TRANSPORT) -> Violation:
    return Violation(f"http.auth{place}", message, reason)
