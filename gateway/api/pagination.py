"""Pages of lists, and the tokens that lead to the next page."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from gateway.authentication.caller import Caller
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

DEFAULT_SIZE = 50
MAX_SIZE = 1000
MAX_BYTES = 3 * 1024 * 1024  # clients accept messages of 4 MiB by default
SIGNATURE_BYTES = 16
FIRST_ROWS = 20
Row = TypeVar("Row")
Element = TypeVar("Element", bound=Message)


class PageTokens:
    """Issues and reads page tokens, signed with the installation's key.

    A token is the base64 of a signature and the sort key of the last row of a page. The signature covers the method,
    the project, what the caller may see, and the request without page_token and page_size. A token is therefore valid
    for one query: with another filter, order, parent or caller it is refused, and clients cannot construct sort keys,
    which reach SQL as parameters. Keys instead of offsets make a page cost the same wherever it begins, and rows that
    are inserted or deleted between two pages do not shift the rest. The key is stored, so every gateway reads the
    tokens of every other one.

    >>> from ordinaut.v1.task_service_pb2 import ListTasksRequest
    >>> tokens, caller = PageTokens(b"key"), Caller("default", "ann", frozenset({"tasks:read"}))
    >>> token = tokens.token(ListTasksRequest(filter="state = ACTIVE"), caller, "briefing")
    >>> tokens.start(ListTasksRequest(filter="state = ACTIVE", page_token=token, page_size=9), caller)
    'briefing'
    >>> tokens.start(ListTasksRequest(filter="state = PAUSED", page_token=token), caller)
    Traceback (most recent call last):
    ordinaut.errors.InvalidArgumentError: INVALID_ARGUMENT PAGE_TOKEN_INVALID: page_token: ...
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def start(self, request: Message, caller: Caller) -> str:
        """Returns the sort key after which the page begins; empty for the first page.

        Raises:
            InvalidArgumentError: PAGE_TOKEN_INVALID: the token was not issued for this query of this caller.
        """
        token: str = request.page_token  # type: ignore[attr-defined]  # every List request has one
        if not token:
            return ""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            signature, after = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:].decode()
        except (binascii.Error, ValueError):
            raise _invalid() from None
        if not hmac.compare_digest(signature, self._sign(request, caller, after)):
            raise _invalid()
        return after

    def token(self, request: Message, caller: Caller, last: str) -> str:
        """Returns the token of the page after the sort key `last`."""
        raw = self._sign(request, caller, last) + last.encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def _sign(self, request: Message, caller: Caller, after: str) -> bytes:
        query = type(request)()
        query.CopyFrom(request)
        query.ClearField("page_token")
        query.ClearField("page_size")
        parts = (
            request.DESCRIPTOR.full_name.encode(),
            caller.project.encode(),
            (caller.owner_filter or "").encode(),
            query.SerializeToString(deterministic=True),
            after.encode(),
        )
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, text, hashlib.sha256)[:SIGNATURE_BYTES]


@dataclass(frozen=True, slots=True)
class Page(Generic[Row, Element]):
    """Messages, and the row after which the next page begins; None on the last page."""

    messages: list[Element]
    last: Row | None


async def read_page(
    read: Callable[[str, int], Awaitable[Sequence[Row]]],
    key: Callable[[Row], str],
    start: str,
    size: int,
    convert: Callable[[Row], Element],
) -> Page[Row, Element]:
    """Reads a page of at most `size` messages after the sort key `start`, and of at most 3 MiB.

    `read(after, count)` returns at most `count` rows after a sort key. The first call asks for a few rows; the next
    ones for as many as will fit by the average size so far, so that a page of large rows does not load a thousand of
    them. A page contains at least one message of any size.
    """
    messages: list[Element] = []
    last: Row | None = None
    rows_read, bytes_left, count = 0, MAX_BYTES, min(size, FIRST_ROWS)
    while count:
        rows = await read(start, count)
        for row in rows:
            message = convert(row)
            bytes_left -= message.ByteSize()
            if bytes_left < 0 and messages:
                return Page(messages, last)
            messages.append(message)
            last = row
        if last is None or len(rows) < count:
            return Page(messages, None)
        rows_read, start = rows_read + len(rows), key(last)
        count = min(size - rows_read, _fitting_rows(rows_read, bytes_left))
    return Page(messages, last)


def _fitting_rows(rows_read: int, bytes_left: int) -> int:
    """The number of rows of the average size so far that fit into `bytes_left`, and one to find the end."""
    return max(bytes_left, 0) * rows_read // max(MAX_BYTES - bytes_left, 1) + 1


def page_size(size: int) -> int:
    """Returns the size of a page: 50 if `size` is 0, at most 1000.

    Raises:
        InvalidArgumentError: `size` is negative.
    """
    if size < 0:
        raise InvalidArgumentError.of([Violation("page_size", f"must not be negative (got {size})")])
    return min(size or DEFAULT_SIZE, MAX_SIZE)


def _invalid() -> InvalidArgumentError:
    text = (
        "is not a token for this query; repeat the request that returned it, or omit the token to read the first page"
    )
    return InvalidArgumentError.of([Violation("page_token", text, ErrorReason.PAGE_TOKEN_INVALID)])
