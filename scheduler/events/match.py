"""Matches events against triggers: which runs they start, and which tasks' runs have ended."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.limits import MAX_CHAIN_DEPTH
from ordinaut.names import topic_matcher
from ordinaut.store import event
from ordinaut.store.event import EventTrigger
from ordinaut.streams.event_stream import Entry
from ordinaut.telemetry import get_logger
from scheduler.metrics import CHAINS_STOPPED, CONDITION_FAILED

log = get_logger()
ENDED_TOPICS = {f"ordinaut.run.{state.lower()}": state for state in ("SUCCEEDED", "FAILED", "CANCELLED")}
AWAITED_KINDS = frozenset({"CHILD", "RETRY"})


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event with its position in the log."""

    project: str
    position: int
    time: datetime
    body: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The value of `event` in a condition and in the pipeline."""
        body = self.body
        return {
            "name": f"events/{body['uid']}",
            "position": self.position,
            "topic": body["topic"],
            "source": body["source"],
            "subject": body["subject"],
            "id": body["id"],
            "data": body["data"],
            "publish_time": self.time,
            "publisher": body["publisher"],
            "depth": body["depth"],
        }

    def json(self) -> bytes:
        """The document as JSON."""
        return orjson.dumps(self.document(), option=orjson.OPT_UTC_Z)


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
    `children` the ended runs for which a step of another run may wait.
    """

    matches: list[Match]
    ended: dict[UUID, list[RunEnd]]
    backfilled: dict[UUID, str]
    children: list[UUID]


def match_events(entries: Sequence[Entry], triggers: Sequence[EventTrigger]) -> MatchResult:
    """Matches every event against the triggers of its project."""
    by_topic = _TriggersByTopic(triggers)
    matches: list[Match] = []
    ended: dict[str | None, list[RunEnd]] = defaultdict(list)
    backfilled: dict[UUID, str] = {}
    children: list[UUID] = []
    for entry in entries:
        time = datetime.fromtimestamp(entry.time_us / 1_000_000, UTC)
        position = entry.position
        for document in orjson.loads(entry.events):
            topic, count = document["topic"], len(document["runs"]) if "runs" in document else 1
            if subscribed := by_topic[entry.project, topic]:
                for logged in _logged(entry.project, position, time, [document]):
                    matches += [match for trigger in subscribed if (match := _match(logged, trigger))]
            if state := ENDED_TOPICS.get(topic):
                ended[document["data"].get("task_uid")] += [RunEnd(state, time)] * count
                kind = document["data"].get("kind")
                runs = document.get("runs") or [document["source"].partition("/")[2]]
                if kind == "BACKFILL":
                    backfilled |= dict.fromkeys(map(UUID, runs), state)
                elif kind in AWAITED_KINDS:
                    children += map(UUID, runs)
            position += count
    return MatchResult(
        matches, {UUID(task): ends for task, ends in ended.items() if task}, backfilled=backfilled, children=children
    )


class _TriggersByTopic(dict[tuple[str, str], list[EventTrigger]]):
    """The triggers that match a topic of a project; each pair is computed once."""

    def __init__(self, triggers: Sequence[EventTrigger]) -> None:
        super().__init__()
        self._by_project: dict[str, list[EventTrigger]] = defaultdict(list)
        for trigger in triggers:
            self._by_project[trigger.project].append(trigger)

    def __missing__(self, key: tuple[str, str]) -> list[EventTrigger]:
        project, topic = key
        self[key] = [trigger for trigger in self._by_project.get(project, ()) if topic_matcher(trigger.topic)(topic)]
        return self[key]


def events_of(entry: Entry) -> Iterator[LoggedEvent]:
    """The events of one row of the log."""
    time = datetime.fromtimestamp(entry.time_us / 1_000_000, UTC)
    return _logged(entry.project, entry.position, time, orjson.loads(entry.events))


def _logged(project: str, first: int, time: datetime, documents: list[dict[str, Any]]) -> Iterator[LoggedEvent]:
    for position, body in enumerate(event.unfolded(documents), first):
        yield LoggedEvent(project, position, time, body)


def _match(logged: LoggedEvent, trigger: EventTrigger) -> Match | None:
    if logged.position <= trigger.effective_position:
        return None
    document = logged.json()
    if not _holds(trigger, document):
        return None
    depth = logged.body["depth"] + 1
    if depth > MAX_CHAIN_DEPTH:
        CHAINS_STOPPED.inc()
        log.warning("event_chain_stopped", task=str(trigger.task), topic=logged.body["topic"], depth=depth)
        return None
    return Match(trigger.task, trigger.trigger, logged.body["uid"], document.decode(), trigger.params, depth)


def _holds(trigger: EventTrigger, document: bytes) -> bool:
    """Whether the trigger's condition is true; a failing condition is logged and counts as false.

    It is not retried: the event and the condition stay the same.
    """
    if not trigger.condition:
        return True
    try:
        return compile_expression(trigger.condition).holds(orjson.loads(document))
    except ExpressionError as failure:
        CONDITION_FAILED.inc()
        log.warning("trigger_condition_failed", task=str(trigger.task), failure=str(failure))
        return False
