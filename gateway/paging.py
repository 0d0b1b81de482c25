"""Pages by key: a token says where the next page begins, and is good for exactly the question that it came from."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from gateway.caller import Caller
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

DEFAULT_SIZE = 50
MAX_SIZE = 1000
MAX_BYTES = 3 * 1024 * 1024  # clients accept messages of four by default
SIGNATURE_BYTES = 16
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


def fitting(
    records: Sequence[Record], size: int, make: Callable[[Record], Answer], shows: Callable[[Record], bool] = _any
) -> Page[Record, Answer]:
    """As much of a page as a client can receive.

    `records` are the next rows, at most `size`; a page holds at least one message however large that is.
    """
    messages: list[Answer] = []
    left = MAX_BYTES
    for index, record in enumerate(records):
        if not shows(record):
            continue
        message = make(record)
        left -= message.ByteSize()
        if left < 0 and messages:
            return Page(messages, records[index - 1])
        messages.append(message)
    return Page(messages, records[-1] if len(records) == size else None)


def page_size(wanted: int) -> int:
    """How many to answer with: 50 when unset, at most 1000.

    Raises:
        InvalidArgumentError: it is negative.
    """
    if wanted < 0:
        raise InvalidArgumentError.of([Violation("page_size", "must not be negative")])
    return min(wanted or DEFAULT_SIZE, MAX_SIZE)


def _invalid() -> InvalidArgumentError:
    text = "was not made by this method for these parameters; begin again without a token"
    return InvalidArgumentError.of([Violation("page_token", text, ErrorReason.PAGE_TOKEN_INVALID)])
