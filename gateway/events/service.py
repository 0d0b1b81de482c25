# ruff: noqa: N802 - methods are named by the contract
"""EventService: events are shared inside the project, by scope and topic."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from itertools import chain
from uuid import UUID

from gateway.api.authentication import Authenticator
from gateway.api.batches import Batch
from gateway.api.caller import Caller, current_caller
from gateway.api.idempotency import Mutation
from gateway.api.json_values import to_json
from gateway.api.pagination import MAX_BYTES, Pages, page_size
from gateway.api.resource_names import new_id, topic_pattern
from gateway.api.violations import Problems
from gateway.events.conversion import events_of
from gateway.events.filter import event_filter
from gateway.events.watch import EventWatch
from ordinaut.errors import (
    InvalidArgumentError,
    OutOfRangeError,
    PermissionDeniedError,
    Violation,
)
from ordinaut.limits import MAX_JSON_BYTES
from ordinaut.names import DOTTED, SYSTEM_TOPIC
from ordinaut.rpc.interceptor import Context
from ordinaut.store import event
from ordinaut.store.database import Database
from ordinaut.store.event import LogEntry
from ordinaut.store.hints import OUTBOX, Hints
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import (
    BatchPublishEventsRequest,
    BatchPublishEventsResponse,
    ListEventsRequest,
    ListEventsResponse,
    PublishEventRequest,
    WatchEventsRequest,
    WatchEventsResponse,
)
from ordinaut.v1.event_service_pb2_grpc import EventServiceServicer

READ = "events:read"
PUBLISH = "events:publish"
TEXT_MAX = 255
SCAN_ROWS = 100
SCANS_MAX = 100  # how much of the log one page may search; a short page is no last page
Shows = Callable[[str], bool]


class _EventPage:
    """Collects events beyond a position until a page, or what a client can receive, is full."""

    def __init__(self, after: int, size: int) -> None:
        self.after = after
        self.found: list[Event] = []
        self.full = False
        self._size = size
        self._left = MAX_BYTES

    def take(self, rows: Sequence[LogEntry], shows: Callable[[Event], bool]) -> None:
        """Looks at the events of the next rows of the log."""
        for candidate in chain.from_iterable(map(events_of, rows)):
            if candidate.position <= self.after:
                continue
            if shows(candidate):
                self._left -= candidate.ByteSize()
                if self._left < 0 and self.found:
                    self.full = True
                    return
                self.found.append(candidate)
            self.after = candidate.position
            if len(self.found) == self._size:
                self.full = True
                return


class Events(EventServiceServicer):
    """Answers calls about events."""

    def __init__(
        self, database: Database, hints: Hints, pages: Pages, watch: EventWatch, authenticator: Authenticator
    ) -> None:
        self._database = database
        self._hints = hints
        self._pages = pages
        self._watch = watch
        self._authenticator = authenticator

    async def PublishEvent(self, request: PublishEventRequest, context: Context) -> Event:
        """Appends an event; the log numbers it a moment later."""
        caller, wanted = current_caller(), request.event
        mutation = Mutation(self._database, request, Event)
        if (answer := await mutation.earlier()) is not None:
            return answer
        new = _new_event(caller, wanted)

        async def work(connection: Connection) -> Event:
            return _published(wanted, new, await event.publish(connection, caller.project, new))

        answer = await mutation.once(work)
        self._hints.send(OUTBOX)
        return answer

    async def BatchPublishEvents(
        self, request: BatchPublishEventsRequest, context: Context
    ) -> BatchPublishEventsResponse:
        """Appends many events or none."""
        caller = current_caller()
        mutation = Mutation(self._database, request, BatchPublishEventsResponse)
        if (answer := await mutation.earlier()) is not None:
            return answer

        async def check(one: PublishEventRequest) -> event.NewEvent:
            return _new_event(caller, one.event)

        new = await Batch(request.requests).checked(check)

        async def work(connection: Connection) -> BatchPublishEventsResponse:
            outcomes = await event.publish_all(connection, caller.project, new)
            pairs = zip(request.requests, new, outcomes, strict=True)
            return BatchPublishEventsResponse(events=[_published(one.event, was, done) for one, was, done in pairs])

        answer = await mutation.once(work)
        self._hints.send(OUTBOX)
        return answer

    async def ListEvents(self, request: ListEventsRequest, context: Context) -> ListEventsResponse:
        """A page of the log, by position."""
        caller, size = current_caller(), page_size(request.page_size)
        shows, fits = _shown_topics(caller, request.topic), event_filter(request.filter)
        start = self._pages.start(request, caller)
        after = int(start) if start else _not_negative(request.after_position)
        page = _EventPage(after, size)
        async with self._database.connection() as connection:
            for _ in range(SCANS_MAX):
                rows = await event.read(connection, project=caller.project, after=page.after, batch=SCAN_ROWS)
                page.take(rows, lambda candidate: shows(candidate.topic) and fits(candidate))
                if page.full or len(rows) < SCAN_ROWS:
                    break
        more = page.full or len(rows) == SCAN_ROWS
        token = self._pages.token(request, caller, str(page.after)) if more else ""
        return ListEventsResponse(events=page.found, next_page_token=token)

    async def WatchEvents(self, request: WatchEventsRequest, context: Context) -> AsyncIterator[WatchEventsResponse]:
        """Events as they come, from a position on."""
        caller = current_caller()
        shows, fits = _shown_topics(caller, request.topic), event_filter(request.filter)
        async with self._database.connection() as connection:
            after = await _start(connection, request)
        vigil = self._authenticator.vigil(context)
        async with aclosing(self._watch.rows(caller.project, after, vigil)) as rows:
            async for row in rows:
                for found in events_of(row):
                    if found.position > after and shows(found.topic) and fits(found):
                        yield WatchEventsResponse(event=found)


def _checked_data(wanted: Event) -> str:
    problems = Problems()
    problems.not_writable("event", wanted)
    if wanted.name:
        problems.add("event.name", "is set by the server alone", ErrorReason.FIELD_NOT_WRITABLE)
    if not DOTTED.fullmatch(wanted.topic):
        problems.add("event.topic", "must be words of `[a-z][a-z0-9_-]*` joined by dots", ErrorReason.INVALID_TOPIC)
    for name in ("source", "subject", "id"):
        problems.text(f"event.{name}", getattr(wanted, name), TEXT_MAX)
    data = to_json(wanted.data)
    if len(data) > MAX_JSON_BYTES:
        problems.add("event.data", f"may have {MAX_JSON_BYTES} bytes of JSON", ErrorReason.TOO_LARGE)
    problems.check()
    return data


def _new_event(caller: Caller, wanted: Event) -> event.NewEvent:
    data = _checked_data(wanted)
    if wanted.topic.startswith(SYSTEM_TOPIC):
        raise PermissionDeniedError(ErrorReason.RESERVED, f"topics under {SYSTEM_TOPIC} are the system's")
    caller.require(PUBLISH, wanted.topic)
    return event.NewEvent(
        uid=new_id(),
        topic=wanted.topic,
        source=wanted.source or caller.name,
        subject=wanted.subject,
        event_id=wanted.id,
        data=json.loads(data),
        publisher=caller.name,
        depth=0,
    )


def _published(wanted: Event, new: event.NewEvent, outcome: tuple[UUID, datetime | None]) -> Event:
    uid, moment = outcome
    answer = Event(
        name=f"events/{uid}",
        topic=new.topic,
        source=new.source,
        subject=new.subject,
        id=new.event_id,
        publisher=new.publisher,
        data=wanted.data,
    )
    if moment is not None:
        answer.publish_time.FromDatetime(moment)
    return answer


def _shown_topics(caller: Caller, pattern: str) -> Shows:
    matches = topic_pattern(pattern)
    if caller.is_admin or READ in caller.scopes:
        return matches
    return lambda topic: matches(topic) and caller.may(READ, topic)


async def _start(connection: Connection, request: WatchEventsRequest) -> int:
    last = await event.last_position(connection)
    if not request.HasField("after_position"):
        return last
    first = await event.first_position(connection)
    after = _not_negative(request.after_position)
    if after > last or 0 < after < first - 1:
        raise OutOfRangeError(
            ErrorReason.POSITION_OUT_OF_RANGE,
            f"the log holds positions {first} to {last}; begin at one of them, or at 0",
            {"first_position": first, "last_position": last},
        )
    return after


def _not_negative(position: int) -> int:
    if position < 0:
        raise InvalidArgumentError.of([Violation("after_position", "must not be negative")])
    return position
