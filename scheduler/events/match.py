"""Matches events against triggers: which runs they start, and which tasks' runs have ended."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.expressions.errors import FuelError
from ordinaut.expressions.event_condition import CONDITION_FUEL, is_constant
from ordinaut.limits import MAX_CHAIN_DEPTH
from ordinaut.store.event import EventTrigger
from ordinaut.streams.event_stream import Entry
from ordinaut.telemetry import get_logger
from scheduler.conditions.allowance import Allowances
from scheduler.events.logged_event import LoggedEvent, logged_events
from scheduler.events.topics import TopicIndex
from scheduler.metrics import CHAINS_STOPPED, CONDITION_FAILED

log = get_logger()
ENDED_TOPICS = {f"ordinaut.run.{state.lower()}": state for state in ("SUCCEEDED", "FAILED", "CANCELLED")}
AWAITED_KINDS = frozenset({"CHILD", "RETRY"})


class Match(NamedTuple):
    """A run to queue: its task and trigger, the event's uid, the event and the trigger's params as JSON, its depth."""

    task: UUID
    trigger: str
    uid: str
    event: str
    params: str | None
    depth: int


class RunEnd(NamedTuple):
    """The final state of a run, and the time of the event that reports it."""

    state: str
    time: datetime


@dataclass(frozen=True, slots=True)
class MatchResult:
    """The consequences of some events.

    `ended` are the ends of runs by task, in order; `backfilled` the ended runs of backfills with their states;
    `children` the ended runs for which a step of another run may wait; `pending`, by the position of a row, the ids of
    the triggers whose conditions are to be evaluated on its events.
    """

    matches: list[Match]
    ended: dict[UUID, list[RunEnd]]
    backfilled: dict[UUID, str]
    children: list[UUID]
    pending: dict[int, dict[int, None]]


def match_events(
    entries: Sequence[Entry], triggers: Sequence[EventTrigger], allowances: Allowances | None = None
) -> MatchResult:
    """Matches every event against the triggers of its project."""
    matching = Matching(triggers, allowances or Allowances())
    for entry in entries:
        matching.add(entry)
    return matching.result


class Matching:
    """Matches events against triggers, one row of the log after the other, and collects the consequences.

    A condition is evaluated here only if it is constant and the project's allowance lasts. All others are added to
    `result.pending`. A condition that is evaluated twice, here and later, has the same result and starts one run.
    """

    def __init__(self, triggers: Sequence[EventTrigger], allowances: Allowances) -> None:
        self.result = MatchResult([], defaultdict(list), {}, [], {})
        self._allowances = allowances
        self._by_project: dict[str, TopicIndex[EventTrigger]] = defaultdict(TopicIndex)
        for trigger in triggers:
            self._by_project[trigger.project].add(trigger.topic, trigger)

    def add(self, entry: Entry) -> None:
        """Matches the events of the next row."""
        time = datetime.fromtimestamp(entry.time_us / 1_000_000, UTC)
        index = self._by_project.get(entry.project)
        position = entry.position
        for document in orjson.loads(entry.events):
            topic, count = document["topic"], len(document["runs"]) if "runs" in document else 1
            if index and (subscribed := index[topic]):
                for logged in logged_events(entry.project, position, time, [document]):
                    self._match(entry, logged, subscribed)
            if ENDED_TOPICS.get(topic):
                self._add_end(document, count, time)
            position += count

    def _add_end(self, document: dict[str, Any], count: int, time: datetime) -> None:
        state = ENDED_TOPICS[document["topic"]]
        if task := document["data"].get("task_uid"):
            self.result.ended.setdefault(UUID(task), []).extend([RunEnd(state, time)] * count)
        kind = document["data"].get("kind")
        runs = document.get("runs") or [document["source"].partition("/")[2]]
        if kind == "BACKFILL":
            self.result.backfilled.update(dict.fromkeys(map(UUID, runs), state))
        elif kind in AWAITED_KINDS:
            self.result.children.extend(map(UUID, runs))

    def _match(self, entry: Entry, logged: LoggedEvent, subscribed: Sequence[EventTrigger]) -> None:
        document = logged.json()
        value: Any = None
        for trigger in subscribed:
            if not trigger.sees(logged.position):
                continue
            if trigger.condition and value is None:
                value = orjson.loads(document)
            decided = self._holds(trigger, value)
            if decided is None:
                self.result.pending.setdefault(entry.position, {})[trigger.id] = None
            elif decided and (match := new_match(logged.body, trigger, document.decode())):
                self.result.matches.append(match)

    def _holds(self, trigger: EventTrigger, value: Any) -> bool | None:
        """Whether the trigger's condition is true; None: to be evaluated elsewhere.

        A failing condition is logged and counts as false. It is not retried: the event and the condition stay the same.
        """
        if not trigger.condition:
            return True
        if not is_constant(trigger.condition):
            return None
        try:
            with self._allowances.spend(trigger.project) as allowed:
                return compile_expression(trigger.condition).holds(value, None, CONDITION_FUEL) if allowed else None
        except FuelError:
            return None
        except ExpressionError as failure:
            note_failure(trigger, str(failure))
            return False


def note_failure(trigger: EventTrigger, failure: str) -> None:
    """Logs and counts a condition that cannot be evaluated."""
    CONDITION_FAILED.inc()
    log.warning("trigger_condition_failed", task=str(trigger.task), failure=failure)


def new_match(body: Mapping[str, Any], trigger: EventTrigger, document: str) -> Match | None:
    """The run that an event starts; None at the maximum depth of a chain of events and runs."""
    depth = body["depth"] + 1
    if depth > MAX_CHAIN_DEPTH:
        CHAINS_STOPPED.inc()
        log.warning("event_chain_stopped", task=str(trigger.task), topic=body["topic"], depth=depth)
        return None
    return Match(trigger.task, trigger.trigger, body["uid"], document, trigger.params, depth)
