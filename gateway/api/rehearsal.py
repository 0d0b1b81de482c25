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
from dataclasses import replace
from typing import Any, NoReturn

from ordinaut.errors import InvalidArgumentError, OrdinautError, PermissionDeniedError, Violation
from ordinaut.rpc.interceptor import Context
from ordinaut.v1.error_pb2 import ErrorReason

KEY = "ordinaut-violations"
_pending: dict[str, Sequence[Violation]] = {}
_rehearsing: ContextVar[bool] = ContextVar("rehearsing", default=False)


class RehearsalEndError(Exception):
    """A call that is only validated has reached its first change."""


@contextmanager
def violations_metadata(violations: Sequence[Violation]) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yields the metadata that pass `violations` to a call of this process."""
    if not violations:
        yield ()
        return
    key = secrets.token_hex(16)
    _pending[key] = violations
    try:
        yield ((KEY, key),)
    finally:
        del _pending[key]


def known_violations(context: Context) -> Sequence[Violation]:
    """Returns the violations that the REST server passed to this call."""
    if not _pending:  # true for nearly every call
        return ()
    return _pending.get(next((str(value) for key, value in context.invocation_metadata() or () if key == KEY), ""), ())


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


async def rehearse(call: Callable[[], Awaitable[Any]], known: Sequence[Violation]) -> NoReturn:
    """Validates a call and raises its violations together with the known ones.

    Raises:
        InvalidArgumentError: always.
    """
    token = _rehearsing.set(True)
    try:
        await call()
    except (InvalidArgumentError, PermissionDeniedError) as failure:
        raise InvalidArgumentError.of([*known, *_independent(failure.violations, known)]) from None
    except (RehearsalEndError, OrdinautError, TimeoutError):
        pass
    finally:
        _rehearsing.reset(token)
    raise InvalidArgumentError.of(known)


def _independent(violations: Sequence[Violation], known: Sequence[Violation]) -> list[Violation]:
    """The violations at fields that could be read: those at other fields are consequences of a known violation.

    A fix next to a misspelled field may refer to the value that was read under the corrected name, and is left out.
    """
    fields = [violation.field for violation in known]
    renamed = [item.field.rpartition(".")[0] for item in known if item.reason == ErrorReason.UNKNOWN_FIELD]
    return [
        replace(violation, repair=None) if any(_inside(violation.field, place) for place in renamed) else violation
        for violation in violations
        if not any(_inside(violation.field, field) for field in fields)
    ]


def _inside(path: str, field: str) -> bool:
    return path == field or path.startswith((f"{field}.", f"{field}["))
