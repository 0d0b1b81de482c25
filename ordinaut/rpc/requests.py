"""Reads the request of a unary call after its headers have been checked.

A method that takes one request is registered as one that takes a stream, without a deserializer: on the wire both are
the same, but grpc then calls the handler before the request has arrived, so that a call is refused for its headers
without its request being read or parsed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from google.protobuf.message import DecodeError

from ordinaut.errors import DeadlineExceededError, InvalidArgumentError
from ordinaut.v1.error_pb2 import ErrorReason

Admit = Callable[[int], Awaitable[None]]
Deserialize = Callable[[bytes], Any]
ARRIVAL_SECONDS = 20.0
SMALL_BYTES = 4 * 1024
"""Size above which a request is subject to `Admit` before it is parsed."""
LARGE_BYTES = 64 * 1024
"""Size above which a request is not checked in the event loop."""


async def admit_all(_size: int) -> None:
    """Admits requests of every size."""


class AbandonedError(InvalidArgumentError):
    """The call has ended without a request."""


async def receive(messages: AsyncIterator[bytes], deserialize: Deserialize, admit: Admit) -> Any:
    """Returns the only request of a call.

    Raises:
        AbandonedError: there is no request.
        InvalidArgumentError: MALFORMED_MESSAGE: there is more than one request, or it cannot be parsed.
        DeadlineExceededError: it was not complete after 20 s.
    """
    data = await _only(messages)
    if len(data) > SMALL_BYTES:
        await admit(len(data))
    return _parse(data, deserialize)


async def _only(messages: AsyncIterator[bytes]) -> bytes:
    received: list[bytes] = []
    try:
        async with asyncio.timeout(ARRIVAL_SECONDS):
            async for message in messages:
                received.append(message)
                if len(received) > 1:
                    text = "the call must have one request message (got another one)"
                    raise InvalidArgumentError(ErrorReason.MALFORMED_MESSAGE, text)
    except TimeoutError:
        text = f"the request must be complete after {ARRIVAL_SECONDS:.0f} s"
        raise DeadlineExceededError(ErrorReason.DEADLINE, text) from None
    if not received:
        raise AbandonedError(ErrorReason.MALFORMED_MESSAGE, "the call must have one request message (got none)")
    return received[0]


async def parsed(messages: AsyncIterator[bytes], deserialize: Deserialize) -> AsyncIterator[Any]:
    """Yields the requests of a call that takes a stream of them.

    Raises:
        InvalidArgumentError: MALFORMED_MESSAGE: a request cannot be parsed.
    """
    async for data in messages:
        yield _parse(data, deserialize)


def _parse(data: bytes, deserialize: Deserialize) -> Any:
    try:
        return deserialize(data)
    except DecodeError:
        text = "the request bytes are not a valid message of this method"
        raise InvalidArgumentError(ErrorReason.MALFORMED_MESSAGE, text) from None
