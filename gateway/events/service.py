# ruff: noqa: N802 - methods are named by the contract
"""EventService: events are shared in the project; scopes control access by topic."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from itertools import chain

from gateway.admission.door import Door
from gateway.api.batches import Batch
from gateway.api.idempotency import Mutation
from gateway.api.json_values import to_json
from gateway.api.pagination import MAX_BYTES, PageTokens, page_size
from gateway.api.rehearsal import refuse_change
from gateway.api.resource_names import new_id, topic_pattern
from gateway.api.violations import OUTPUT_ONLY, Problems, at_most, got
from gateway.authentication.authenticator import Authenticator
from gateway.authentication.caller import Caller, current_caller, missing_scope
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
from ordinaut.names import DOTTED, SYSTEM_TOPIC, granted, is_reserved_source, is_reserved_topic
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
SOURCE = "events:source"
EVENTS_PER_SECOND = "events_per_second"
TEXT_MAX = 255
SCAN_ROWS = 100
# Events that are read for one page, which bounds a call whose filter matches nothing. A page may therefore be short, or
# empty, without being the last one.
SCAN_EVENTS_MAX = 1_000
TopicFilter = Callable[[str], bool]


class _EventPage:
    """Collects events after a position, up to the page size and the message size that clients accept."""

    def __init__(self, after: int, size: int) -> None:
        self.after = after
        self.events: list[Event] = []
        self.full = False
        self.scanned = 0
        self._size = size
        self._bytes_left = MAX_BYTES

    def add(self, rows: Sequence[LogEntry], matches: Callable[[Event], bool]) -> None:
        """Adds the matching events of the next rows of the log."""
        for candidate in chain.from_iterable(map(events_of, rows)):
            if candidate.position <= self.after:
                continue
            if self.scanned == SCAN_EVENTS_MAX:
                self.full = True
                return
            self.scanned += 1
            if matches(candidate):
                self._bytes_left -= candidate.ByteSize()
                if self._bytes_left < 0 and self.events:
                    self.full = True
                    return
                self.events.append(candidate)
            self.after = candidate.position
            if len(self.events) == self._size:
                self.full = True
                return


class Events(EventServiceServicer):
    """Implements EventService."""

    def __init__(
        self,
        database: Database,
        hints: Hints,
        page_tokens: PageTokens,
        watch: EventWatch,
        authenticator: Authenticator,
        door: Door,
    ) -> None:
        self._door = door
        self._database = database
        self._hints = hints
        self._page_tokens = page_tokens
        self._watch = watch
        self._authenticator = authenticator

    async def PublishEvent(self, request: PublishEventRequest, context: Context) -> Event:
        """Appends an event; it gets its position asynchronously."""
        caller = current_caller()
        mutation = Mutation(self._database, request, Event)
        if (response := await mutation.stored_response()) is not None:
            return response
        new = _new_event(caller, request.event)
        await self._door.take(EVENTS_PER_SECOND, caller)

        async def work(connection: Connection) -> Event:
            return _published(request.event, new, await event.publish(connection, caller.project, new))

        response = await mutation.execute(work)
        self._hints.send(OUTBOX)
        return response

    async def BatchPublishEvents(
        self, request: BatchPublishEventsRequest, context: Context
    ) -> BatchPublishEventsResponse:
        """Appends all events or none."""
        caller = current_caller()
        mutation = Mutation(self._database, request, BatchPublishEventsResponse)
        if (response := await mutation.stored_response()) is not None:
            return response

        async def check(single: PublishEventRequest) -> event.NewEvent:
            return _new_event(caller, single.event)

        new = await Batch(request.requests).checked(check)
        await self._door.take(EVENTS_PER_SECOND, caller, len(new))

        async def work(connection: Connection) -> BatchPublishEventsResponse:
            outcomes = await event.publish_all(connection, caller.project, new)
            events = [
                _published(single.event, new_event, outcome)
                for single, new_event, outcome in zip(request.requests, new, outcomes, strict=True)
            ]
            return BatchPublishEventsResponse(events=events)

        response = await mutation.execute(work)
        self._hints.send(OUTBOX)
        return response

    async def ListEvents(self, request: ListEventsRequest, context: Context) -> ListEventsResponse:
        """Lists a page of the log, by position."""
        caller, problems = current_caller(), Problems()
        with problems.collect():
            page_size(request.page_size)
        is_visible, matches = _selection(caller, request, problems)
        size = page_size(request.page_size)
        start = self._page_tokens.start(request, caller)
        after = int(start) if start else _not_negative(request.after_position)
        page = _EventPage(after, size)
        async with self._database.connection() as connection:
            is_last = False
            while not page.full and not is_last:
                rows = await event.read(connection, project=caller.project, after=page.after, batch=SCAN_ROWS)
                page.add(rows, lambda candidate: is_visible(candidate.topic) and matches(candidate))
                is_last = not page.full and len(rows) < SCAN_ROWS
        token = "" if is_last else self._page_tokens.token(request, caller, str(page.after))
        return ListEventsResponse(events=page.events, next_page_token=token)

    async def WatchEvents(self, request: WatchEventsRequest, context: Context) -> AsyncIterator[WatchEventsResponse]:
        """Streams events after a position as they are published."""
        caller = current_caller()
        is_visible, matches = _selection(caller, request, Problems())

        def check(now: Caller) -> None:
            nonlocal is_visible
            if not granted(now.scopes, READ):
                raise missing_scope(READ)
            is_visible, _ = _selection(now, request, Problems())

        async with self._database.connection() as connection:
            after = await _start(connection, caller.project, request)
        refuse_change()
        recheck = self._authenticator.token_recheck(context, check)
        async with aclosing(self._watch.rows(caller.project, after, recheck)) as rows:
            async for row in rows:
                await recheck()  # a slow client takes a batch over a long time
                for message in events_of(row):
                    if message.position > after and is_visible(message.topic) and matches(message):
                        yield WatchEventsResponse(event=message)


def _checked_data(message: Event) -> str:
    problems = Problems()
    problems.not_writable("event", message)
    if message.name:
        problems.add("event.name", OUTPUT_ONLY, ErrorReason.FIELD_NOT_WRITABLE)
    if not DOTTED.fullmatch(message.topic):
        text = f"must be words of `[a-z][a-z0-9_-]*` joined by dots {got(message.topic)}"
        problems.add("event.topic", text, ErrorReason.INVALID_TOPIC)
    for name in ("source", "subject", "id"):
        problems.text(f"event.{name}", getattr(message, name), TEXT_MAX)
    data = to_json(message.data)
    if len(data) > MAX_JSON_BYTES:
        problems.add("event.data", at_most(MAX_JSON_BYTES, "bytes of JSON", len(data)), ErrorReason.TOO_LARGE)
    problems.check()
    return data


def _new_event(caller: Caller, message: Event) -> event.NewEvent:
    data = _checked_data(message)
    if is_reserved_topic(message.topic):
        raise PermissionDeniedError(ErrorReason.RESERVED, f"topics that begin with {SYSTEM_TOPIC} are reserved")
    caller.require(PUBLISH, message.topic)
    if is_reserved_source(message.source) and message.source != caller.name:
        caller.require(SOURCE, message.source)
    return event.NewEvent(
        uid=new_id(),
        topic=message.topic,
        source=message.source or caller.name,
        subject=message.subject,
        event_id=message.id,
        data=json.loads(data),
        publisher=caller.name,
        depth=0,
    )


def _published(message: Event, new: event.NewEvent, published: event.PublishedEvent) -> Event:
    response = Event(
        name=f"events/{published.uid}",
        topic=new.topic,
        source=new.source,
        subject=new.subject,
        id=new.event_id,
        publisher=new.publisher,
        data=message.data,
    )
    response.publish_time.FromDatetime(published.time)
    return response


def _selection(
    caller: Caller, request: ListEventsRequest | WatchEventsRequest, problems: Problems
) -> tuple[TopicFilter, Callable[[Event], bool]]:
    """Returns which topics and which events are selected; `problems` are those that were found before.

    Raises:
        InvalidArgumentError: with all violations.
    """
    with problems.collect():
        _not_negative(request.after_position)
    with problems.collect():
        topic_pattern(request.topic)
    with problems.collect():
        event_filter(request.filter)
    problems.check()
    return _visible_topics(caller, request.topic), event_filter(request.filter)


def _visible_topics(caller: Caller, pattern: str) -> TopicFilter:
    matches = topic_pattern(pattern)
    if caller.is_admin or READ in caller.scopes:
        return matches
    return lambda topic: matches(topic) and caller.may(READ, topic)


async def _start(connection: Connection, project: str, request: WatchEventsRequest) -> int:
    if not request.HasField("after_position"):
        return await event.last_position(connection)
    first, last = await event.positions(connection, project)
    after = _not_negative(request.after_position)
    if after > last or 0 < after < first - 1:
        raise OutOfRangeError(
            ErrorReason.POSITION_OUT_OF_RANGE,
            f"after_position must be 0 or between {first} and {last} (got {after})",
            {"first_position": first, "last_position": last},
        )
    return after


def _not_negative(position: int) -> int:
    if position < 0:
        raise InvalidArgumentError.of([Violation("after_position", f"must not be negative (got {position})")])
    return position
