"""Pages by key: a token says where the next page begins, and is good for exactly the question that it came from."""

import base64
import binascii
import hashlib
import hmac

from google.protobuf.message import Message

from gateway.caller import Caller
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

DEFAULT_SIZE = 50
MAX_SIZE = 1000
SIGNATURE_BYTES = 16


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
