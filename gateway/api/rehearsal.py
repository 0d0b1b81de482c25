"""Calls whose violations are known before they start: they are validated, but never executed.

The REST server finds unknown fields and values of wrong types while it converts a document to a message. Such a request
cannot be executed, but an answer with these violations only would hide all that the method finds, and its caller would
need one attempt for each layer. Therefore the REST server passes the violations to the call, which runs up to its first
change and answers with both. Violations stay in this process: the metadata contain a random key, because a request can
have more violations than fit into metadata, and a client cannot guess the key of another request.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ordinaut.errors import InvalidArgumentError, OrdinautError, PermissionDeniedError, UnavailableError, Violation
from ordinaut.rpc.interceptor import Context

KEY = "ordinaut-violations"
_pending: dict[str, "Assembled"] = {}
_rehearsing: ContextVar[bool] = ContextVar("rehearsing", default=False)


@dataclass(frozen=True, slots=True)
class Assembled:
    """A request that the REST server has assembled: its document and the violations of what could not be read."""

    document: Any
    violations: Sequence[Violation]


class RehearsalEndError(Exception):
    """A call that is only validated has reached its first change."""


@contextmanager
def violations_metadata(document: Any, violations: Sequence[Violation]) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yields the metadata that pass the violations of a document to a call of this process."""
    if not violations:
        yield ()
        return
    key = secrets.token_hex(16)
    _pending[key] = Assembled(document, violations)
    try:
        yield ((KEY, key),)
    finally:
        del _pending[key]


def assembled(context: Context) -> Assembled | None:
    """Returns the document with violations that the REST server passed to this call."""
    if not _pending:  # true for nearly every call
        return None
    return _pending.get(next((str(value) for key, value in context.invocation_metadata() or () if key == KEY), ""))


def end_rehearsal() -> None:
    """Ends a call that is only validated; must be called before every change, and before waiting for one.

    Raises:
        RehearsalEndError: the call is only validated.
    """
    if _rehearsing.get():
        raise RehearsalEndError


def is_rehearsal() -> bool:
    """Whether the current call is only validated."""
    return _rehearsing.get()


async def rehearse(
    call: Callable[[], Awaitable[Any]], known: Sequence[Violation], *, complete: bool = False
) -> list[Violation]:
    """Validates a call and returns its violations after the known ones.

    Raises:
        UnavailableError, TimeoutError: with `complete`, if the call could not be validated.
    """
    token = _rehearsing.set(True)
    try:
        await call()
    except (InvalidArgumentError, PermissionDeniedError) as failure:
        return [*known, *independent(failure.violations, known)]
    except (UnavailableError, TimeoutError):
        if complete:
            raise
    except (RehearsalEndError, OrdinautError):
        pass  # it would be executed, or refused for a reason that is not in the request
    finally:
        _rehearsing.reset(token)
    return list(known)


def independent(violations: Sequence[Violation], known: Sequence[Violation]) -> list[Violation]:
    """The violations at fields that could be read: those at other fields are consequences of a known one."""
    fields = [violation.field for violation in known]
    return [each for each in violations if not any(_inside(each.field, field) for field in fields)]


def _inside(path: str, field: str) -> bool:
    return path == field or path.startswith((f"{field}.", f"{field}["))
