"""Pages by key: a token says where the next page begins, and is good for exactly the question that it came from."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from gateway.api.caller import Caller
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.limits import MAX_PAGE_SIZE
from ordinaut.v1.error_pb2 import ErrorReason

DEFAULT_SIZE = 50
MAX_BYTES = 3 * 1024 * 1024  # clients accept messages of four by default
SIGNATURE_BYTES = 16
FIRST_ROWS = 20
Record = TypeVar("Record")
Answer = TypeVar("Answer", bound=Message)


def _any(_record: object) -> bool:
    return True


class Pages:
    """Makes and reads page tokens, signed with the installation's key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def start(self, request: Message, caller: Caller) -> str:
        """The key that the page begins after; empty for the first page.

        Raises:
            InvalidArgumentError: PAGE_TOKEN_INVALID: the token was not made for this question of this caller.
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
        """The token of the page after the key `last`."""
        raw = self._sign(request, caller, last) + last.encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def _sign(self, request: Message, caller: Caller, after: str) -> bytes:
        question = type(request)()
        question.CopyFrom(request)
        question.ClearField("page_token")
        question.ClearField("page_size")
        parts = (
            request.DESCRIPTOR.full_name.encode(),
            caller.project.encode(),
            (caller.owner_filter or "").encode(),
            question.SerializeToString(deterministic=True),
            after.encode(),
        )
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, text, hashlib.sha256)[:SIGNATURE_BYTES]


@dataclass(frozen=True, slots=True)
class Page(Generic[Record, Answer]):
    """Messages, and the row that the next page begins after; None: there is no other page."""

    messages: list[Answer]
    last: Record | None


async def filled(
    read: Callable[[str, int], Awaitable[Sequence[Record]]],
    key: Callable[[Record], str],
    start: str,
    size: int,
    make: Callable[[Record], Answer],
    shows: Callable[[Record], bool] = _any,
) -> Page[Record, Answer]:
    """A page of at most `size` rows behind the key `start`, and of no more than a client can receive.

    `read` answers with so many of the rows behind a key. It is asked for a few first, then for as many as their weight
    lets expect to fit, so that a page of large rows does not load a thousand of them. A page holds at least one message
    however large that is.
    """
    messages: list[Answer] = []
    last: Record | None = None
    seen, left, asked = 0, MAX_BYTES, min(size, FIRST_ROWS)
    while asked:
        records = await read(start, asked)
        for record in records:
            if shows(record):
                message = make(record)
                left -= message.ByteSize()
                if left < 0 and messages:
                    return Page(messages, last)
                messages.append(message)
            last = record
        if last is None or len(records) < asked:
            return Page(messages, None)
        seen, start = seen + len(records), key(last)
        asked = min(size - seen, _expected(seen, left))
    return Page(messages, last)


def _expected(seen: int, left: int) -> int:
    """How many more rows fit into `left` bytes if they are like those that were seen, and one to find the end."""
    return max(left, 0) * seen // max(MAX_BYTES - left, 1) + 1


def page_size(wanted: int) -> int:
    """How many to answer with: 50 when unset, at most 1000.

    Raises:
        InvalidArgumentError: it is negative.
    """
    if wanted < 0:
        raise InvalidArgumentError.of([Violation("page_size", "must not be negative")])
    return min(wanted or DEFAULT_SIZE, MAX_PAGE_SIZE)


def _invalid() -> InvalidArgumentError:
    text = "was not made by this method for these parameters; begin again without a token"
    return InvalidArgumentError.of([Violation("page_token", text, ErrorReason.PAGE_TOKEN_INVALID)])
