"""Server streams over HTTP: a line of JSON for each answer, or Server-Sent Events where the caller accepts those.

A failure before the first answer has its own HTTP status. One that comes later, or more than a moment after a silent
start, is the last line (`{"error": …}`) or an event `error`.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from gateway.rest.errors import refusal
from gateway.rest.transcoding.body import Receive
from gateway.rest.transcoding.headers import Headers
from gateway.rest.transcoding.response import Send, encoded, to_json

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"
START_SECONDS = 0.25  # how long the status waits for a failure of a stream that says nothing
SILENCE_SECONDS = 15.0
LAST_SEEN = b"last-event-id"
RESUMES_AFTER = "after_position"
POSITION = "position"
SEEN = re.compile("[0-9]{1,18}")  # whatever else a client remembers is not from here


class Framing(Protocol):
    """How answers are told apart on the wire."""

    content_type: str

    def answer(self, message: Message) -> bytes:
        """One answer."""

    def failure(self, error: bytes) -> bytes:
        """The end, by a failure."""

    def end(self) -> bytes:
        """The end, as the method means it."""

    def silence(self) -> bytes:
        """Says that the stream lives."""


class Lines:
    """Newline-delimited JSON."""

    content_type = LINES

    def answer(self, message: Message) -> bytes:
        """A line."""
        return to_json(message) + b"\n"

    def failure(self, error: bytes) -> bytes:
        """A line with the one key `error`."""
        return error + b"\n"

    def end(self) -> bytes:
        """The end of the body says it."""
        return b""

    def silence(self) -> bytes:
        """Lines have no comments."""
        return b""


class ServerSentEvents:
    """Source: the HTML standard, section 9.2."""

    content_type = EVENTS

    def answer(self, message: Message) -> bytes:
        """An event whose id is the answer's position, if it has one."""
        position = position_of(message)
        mark = b"id: %d\n" % position if position is not None else b""
        return mark + b"data: " + to_json(message) + b"\n\n"

    def failure(self, error: bytes) -> bytes:
        """An event `error`."""
        return b"event: error\ndata: " + error + b"\n\n"

    def end(self) -> bytes:
        """An event `end`: browsers reconnect when a stream just ends."""
        return b"event: end\ndata: {}\n\n"

    def silence(self) -> bytes:
        """A comment."""
        return b": alive\n\n"


def position_of(answer: Message) -> int | None:
    """The position in the log that an answer, or the one message in it, tells."""
    for holder in (answer, *(value for _, value in answer.ListFields() if isinstance(value, Message))):
        if POSITION in holder.DESCRIPTOR.fields_by_name:
            return int(getattr(holder, POSITION))
    return None


def framing(headers: Headers) -> Framing:
    """What the caller accepts; lines if nothing else is said."""
    return ServerSentEvents() if headers.accepts(b"accept", EVENTS) else Lines()


def resume(request: Any, descriptor: Descriptor, headers: Headers) -> None:
    """A browser that reconnects tells the last id it has seen."""
    last = headers.first(LAST_SEEN)
    if RESUMES_AFTER in descriptor.fields_by_name and SEEN.fullmatch(last):
        setattr(request, RESUMES_AFTER, int(last))


@dataclass
class Stream:
    """One running call and the connection that its answers go to."""

    call: Any
    receive: Receive
    send: Send
    framing: Framing

    async def serve(self) -> None:
        """Sends all answers; cancels the call when the caller goes away.

        Raises:
            grpc.aio.AioRpcError: the call failed before anything was sent.
        """
        gone = asyncio.ensure_future(self._gone())
        try:
            await self._send_all(aiter(self.call), gone)
        finally:
            gone.cancel()
            self.call.cancel()

    async def _send_all(self, answers: AsyncIterator[Message], gone: "asyncio.Future[Any]") -> None:
        coming: asyncio.Future[Any] = asyncio.ensure_future(_next(answers))
        try:
            await asyncio.wait({coming, gone}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                coming.result()
            await self._begin()
            while not gone.done():
                if not coming.done():
                    await asyncio.wait({coming, gone}, timeout=SILENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    await self._write(self.framing.silence())
                elif await self._told(coming):
                    return
                else:
                    coming = asyncio.ensure_future(_next(answers))
        finally:
            coming.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await coming

    async def _told(self, coming: "asyncio.Future[Any]") -> bool:
        """Sends what has come; True when it was the end."""
        try:
            answer = coming.result()
        except grpc.aio.AioRpcError as failure:
            await self._write(self.framing.failure(refusal(failure).body), last=True)
            return True
        if answer is None:
            await self._write(self.framing.end(), last=True)
            return True
        await self._write(self.framing.answer(answer))
        return False

    async def _begin(self) -> None:
        headers = {"content-type": self.framing.content_type, "cache-control": "no-store", "x-accel-buffering": "no"}
        await self.send({"type": "http.response.start", "status": 200, "headers": encoded(headers)})
        await self._write(self.framing.silence())

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": not last})

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def _next(answers: AsyncIterator[Message]) -> Message | None:
    return await anext(answers, None)
