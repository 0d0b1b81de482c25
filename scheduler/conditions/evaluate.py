"""Evaluates conditions of triggers and waits on events, within a limit of CPU time. Pure; for a child process."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from ordinaut.clock import EPOCH
from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.expressions.errors import FuelError
from ordinaut.expressions.event_condition import CONDITION_FUEL, matches_event
from ordinaut.names import topic_matcher
from ordinaut.store.event import EventTrigger, unfolded
from ordinaut.store.queue.wait import OpenWait
from scheduler.conditions.work import Answer, Found, read_trigger, read_wait
from scheduler.events.logged_event import LoggedEvent
from scheduler.events.wait_window import is_in_window

MAX_EXHAUSTIONS = 20
"""A trigger whose condition uses up its fuel that many times in a row is disabled."""
MAX_FOUND_BYTES = 4 * 1024 * 1024
"""The sum of the documents of the runs and results of one answer."""


def evaluate(request: bytes) -> bytes:
    """Takes a Work, returns an Answer."""
    start = time.process_time()
    work = orjson.loads(request)
    evaluation = _Evaluation(
        triggers=[read_trigger(fields) for fields in work["triggers"]],
        waits=[read_wait(fields) for fields in work["waits"]],
        transactions=dict(work["transactions"]),
        first=work["first"],
        total=work["total"],
        answer=Answer(work["after"], work["next"]),
        end=time.process_time() + work["seconds"],
        most=work["most"],
    )
    evaluation.run(_events(work))
    evaluation.answer.total_seconds = time.process_time() - start
    return evaluation.answer.json()


def _events(work: dict[str, Any]) -> Iterator[tuple[int, LoggedEvent]]:
    for row, project, first, time_us, documents in work["rows"]:
        moment = EPOCH + timedelta(microseconds=time_us)
        for position, body in enumerate(unfolded(documents), first):
            if position > work["after"] and any(after < position <= until for after, until in work["ranges"]):
                yield row, LoggedEvent(project, position, moment, body)


@dataclass(slots=True)
class _Evaluation:
    triggers: Sequence[EventTrigger | None]
    waits: list[OpenWait | None]
    transactions: dict[int, int]
    first: int
    total: int
    answer: Answer
    end: float
    most: int | None
    visited: int = 0
    found_bytes: int = 0
    exhaustions: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def run(self, events: Iterator[tuple[int, LoggedEvent]]) -> None:
        for trigger in filter(None, self.triggers):
            self.exhaustions[trigger.id] = trigger.exhaustions
        for row, logged in events:
            if not self._event(row, logged):
                break
            self.answer.after, self.answer.next = logged.position, 0
            if self.first > 0:  # the first conditions are not here
                break
        else:
            self.answer.complete = True
        self.answer.exhaustions = dict(self.exhaustions)

    def _event(self, row: int, logged: LoggedEvent) -> bool:
        """Evaluates the remaining conditions on one event; False at the limit."""
        document = _Document(logged, self.answer.events)
        end = self.first + len(self.triggers) + len(self.waits)
        for place in range(self.answer.next, end):
            if self._is_at_limit():
                self.answer.next = place
                return False
            self.visited += 1
            if place - self.first < len(self.triggers):
                self._trigger(self.triggers[place - self.first], logged, document)
            else:
                self._wait(place - self.first - len(self.triggers), row, logged, document)
        self.answer.next = end
        return end == self.total

    def _is_at_limit(self) -> bool:
        return self.visited > 0 and (
            (self.most is not None and self.visited >= self.most)
            or self.found_bytes > MAX_FOUND_BYTES
            or time.process_time() >= self.end
        )

    def _trigger(self, trigger: EventTrigger | None, logged: LoggedEvent, document: "_Document") -> None:
        if trigger is None or trigger.id in self.answer.over or not trigger.sees(logged.position):
            return
        if not topic_matcher(trigger.topic)(logged.body["topic"]):
            return
        start = time.process_time()
        try:
            if compile_expression(trigger.condition).holds(document.value, None, CONDITION_FUEL):
                self.answer.matches.append(self._found(trigger.id, logged, document))
            self.exhaustions[trigger.id] = 0
        except FuelError as failure:
            self._note_exhaustion(trigger.id, logged.position, str(failure))
        except ExpressionError as failure:
            self.exhaustions[trigger.id] = 0
            self.answer.failures.setdefault(trigger.id, str(failure)[:1000])
        seconds = time.process_time() - start
        self.answer.seconds[trigger.id] = self.answer.seconds.get(trigger.id, 0.0) + seconds

    def _note_exhaustion(self, trigger: int, position: int, failure: str) -> None:
        self.answer.failures.setdefault(trigger, failure)
        self.exhaustions[trigger] += 1
        if self.exhaustions[trigger] >= MAX_EXHAUSTIONS:
            self.answer.over[trigger] = position

    def _wait(self, place: int, row: int, logged: LoggedEvent, document: "_Document") -> None:
        wait = self.waits[place]
        if wait is None or not topic_matcher(wait.topic)(logged.body["topic"]):
            return
        if not is_in_window(wait, logged, row, self.transactions):
            return
        try:
            if wait.match is None or matches_event(orjson.loads(wait.match), document.value):
                self.answer.results.append(self._found(place, logged, document))
                self.waits[place] = None
        except ExpressionError as failure:
            self.answer.wait_failures.setdefault(place, str(failure)[:1000])

    def _found(self, condition: int, logged: LoggedEvent, document: "_Document") -> Found:
        self.found_bytes += len(document.text)
        body = {name: logged.body[name] for name in ("uid", "topic", "depth")}
        return Found(condition, logged.position, body, document.place())


class _Document:
    """An event as JSON and as a value, both computed once and when needed."""

    def __init__(self, logged: LoggedEvent, events: list[str]) -> None:
        self._logged = logged
        self._events = events
        self._text: bytes | None = None
        self._value: Any = None
        self._place: int | None = None

    @property
    def text(self) -> bytes:
        """The event as JSON."""
        if self._text is None:
            self._text = self._logged.json()
        return self._text

    @property
    def value(self) -> Any:
        """The event as a value."""
        if self._value is None:
            self._value = orjson.loads(self.text)
        return self._value

    def place(self) -> int:
        """The place of the event among those found; adds it."""
        if self._place is None:
            self._place = len(self._events)
            self._events.append(self.text.decode())
        return self._place
