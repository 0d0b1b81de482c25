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
class Sent:
    """The document of a request, and how such a document becomes a message and violations of what cannot be read."""

    document: Any
    read: Callable[[Any], tuple[Any, list[Violation]]]


@dataclass(frozen=True, slots=True)
class Assembled:
    """A request that was assembled, with the violations of what could not be read; without `sent` it gets no fixes."""

    sent: Sent | None
    violations: Sequence[Violation]


class RehearsalEndError(Exception):
    """A call that is only validated has reached its first change."""


@contextmanager
def sent_metadata(sent: Sent | None, violations: Sequence[Violation]) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yields the metadata that pass a document and its violations to a call of this process."""
    key = secrets.token_hex(16)
    _pending[key] = Assembled(sent, violations)
    try:
        yield ((KEY, key),)
    finally:
        del _pending[key]


def assembled(context: Context) -> Assembled | None:
    """Returns what the REST server passed to this call."""
    if not _pending:  # true for every call that does not come from the REST server of this process
        return None
    return _pending.get(next((str(value) for key, value in context.invocation_metadata() or () if key == KEY), ""))


def refuse_change() -> None:
    """Ends a call that is only validated; must be called before every change, and before a stream waits for one.

    Raises:
        RehearsalEndError: the call is only validated.
    """
    if _rehearsing.get():
        raise RehearsalEndError


def is_rehearsal() -> bool:
    """Whether the current call is only validated."""
    return _rehearsing.get()


async def rehearse(
    call: Callable[[], Awaitable[Any]], earlier: Sequence[Violation], *, complete: bool = False
) -> list[Violation]:
    """Validates a call and returns its violations after the known ones.

    Raises:
        UnavailableError, TimeoutError: with `complete`, if the call could not be validated.
    """
    token = _rehearsing.set(True)
    try:
        await call()
    except (InvalidArgumentError, PermissionDeniedError) as failure:
        return [*earlier, *independent(failure.violations, earlier)]
    except (UnavailableError, TimeoutError):
        if complete:
            raise
    except (RehearsalEndError, OrdinautError):
        pass  # it would be executed, or refused for a reason that is not in the request
    finally:
        _rehearsing.reset(token)
    return list(earlier)


def independent(violations: Sequence[Violation], earlier: Sequence[Violation]) -> list[Violation]:
    """The violations at fields that could be read: those at other fields are consequences of a known one."""
    fields = [violation.field for violation in earlier]
    return [each for each in violations if not any(_inside(each.field, field) for field in fields)]


def _inside(path: str, field: str) -> bool:
    return path == field or path.startswith((f"{field}.", f"{field}["))
