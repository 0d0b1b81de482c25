"""Server streams over HTTP: newline-delimited JSON, or Server-Sent Events if the client accepts them.

A failure before the first response has an HTTP error status. The status waits at most 0.25 s for that; a later failure
is the last line (`{"error": …}`) or an event `error`.
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

from gateway.rest.errors import error_response
from gateway.rest.transcoding.body import Receive
from gateway.rest.transcoding.headers import Headers
from gateway.rest.transcoding.response import Send, encoded, to_json

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"
START_SECONDS = 0.25  # the time that the status of a silent stream waits for a failure
SILENCE_SECONDS = 15.0
LAST_EVENT_ID = b"last-event-id"
RESUMES_AFTER = "after_position"
POSITION = "position"
EVENT_ID = re.compile("[0-9]{1,18}")  # other ids are ignored


class StreamFormat(Protocol):
    """The encoding of responses on the wire."""

    content_type: str

    def response(self, message: Message) -> bytes:
        """Encodes a response."""

    def failure(self, error: bytes) -> bytes:
        """Encodes a failure, which ends the stream."""

    def end(self) -> bytes:
        """Encodes the regular end of the stream."""

    def silence(self) -> bytes:
        """Encodes a keepalive."""


class JsonLines:
    """Newline-delimited JSON."""

    content_type = LINES

    def response(self, message: Message) -> bytes:
        """Returns a line."""
        return to_json(message) + b"\n"

    def failure(self, error: bytes) -> bytes:
        """Returns a line with the single key `error`."""
        return error + b"\n"

    def end(self) -> bytes:
        """Returns nothing: the body ends."""
        return b""

    def silence(self) -> bytes:
        """Returns nothing: the format lacks comments."""
        return b""


class ServerSentEvents:
    """Source: the HTML standard, section 9.2."""

    content_type = EVENTS

    def response(self, message: Message) -> bytes:
        """Returns an event; its id is the position of the response, if it has one."""
        position = position_of(message)
        event_id = b"id: %d\n" % position if position is not None else b""
        return event_id + b"data: " + to_json(message) + b"\n\n"

    def failure(self, error: bytes) -> bytes:
        """Returns an event `error`."""
        return b"event: error\ndata: " + error + b"\n\n"

    def end(self) -> bytes:
        """Returns an event `end`, because browsers reconnect when a stream ends without it."""
        return b"event: end\ndata: {}\n\n"

    def silence(self) -> bytes:
        """Returns a comment."""
        return b": alive\n\n"


def position_of(response: Message) -> int | None:
    """Returns the log position of a response or of a message in it, or None."""
    for message in (response, *(value for _, value in response.ListFields() if isinstance(value, Message))):
        if POSITION in message.DESCRIPTOR.fields_by_name:
            return int(getattr(message, POSITION))
    return None


def stream_format(headers: Headers) -> StreamFormat:
    """Returns the format that the client accepts; lines by default."""
    return ServerSentEvents() if headers.accepts(b"accept", EVENTS) else JsonLines()


def resume(request: Any, descriptor: Descriptor, headers: Headers) -> None:
    """Continues after the last event that a reconnecting browser has received."""
    last = headers.first(LAST_EVENT_ID)
    if RESUMES_AFTER in descriptor.fields_by_name and EVENT_ID.fullmatch(last):
        setattr(request, RESUMES_AFTER, int(last))


@dataclass
class Stream:
    """A streaming call and the connection that its responses are sent to."""

    call: Any
    receive: Receive
    send: Send
    stream_format: StreamFormat

    async def serve(self) -> None:
        """Sends all responses; cancels the call when the client disconnects.

        Raises:
            grpc.aio.AioRpcError: the call failed before anything was sent.
        """
        disconnected = asyncio.ensure_future(self._disconnect())
        try:
            await self._send_all(aiter(self.call), disconnected)
        finally:
            disconnected.cancel()
            self.call.cancel()

    async def _send_all(self, responses: AsyncIterator[Message], disconnected: "asyncio.Future[Any]") -> None:
        upcoming: asyncio.Future[Any] = asyncio.ensure_future(_next(responses))
        try:
            await asyncio.wait({upcoming, disconnected}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if upcoming.done():
                upcoming.result()
            await self._begin()
            while not disconnected.done():
                if not upcoming.done():
                    await asyncio.wait(
                        {upcoming, disconnected}, timeout=SILENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                if not upcoming.done():
                    await self._write(self.stream_format.silence())
                elif await self._send_next(upcoming):
                    return
                else:
                    upcoming = asyncio.ensure_future(_next(responses))
        finally:
            upcoming.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await upcoming

    async def _send_next(self, upcoming: "asyncio.Future[Any]") -> bool:
        """Sends the next response, failure or end; returns whether the stream has ended."""
        try:
            response = upcoming.result()
        except grpc.aio.AioRpcError as failure:
            await self._write(self.stream_format.failure(error_response(failure).body), last=True)
            return True
        if response is None:
            await self._write(self.stream_format.end(), last=True)
            return True
        await self._write(self.stream_format.response(response))
        return False

    async def _begin(self) -> None:
        headers = {
            "content-type": self.stream_format.content_type,
            "cache-control": "no-store",
            "x-accel-buffering": "no",
        }
        await self.send({"type": "http.response.start", "status": 200, "headers": encoded(headers)})
        await self._write(self.stream_format.silence())

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": not last})

    async def _disconnect(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def _next(responses: AsyncIterator[Message]) -> Message | None:
    return await anext(responses, None)
