"""Which runs a stretch of the event log starts, and which tasks' runs have ended in it."""

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
from ordinaut.store.sql import Record
from ordinaut.streams.event_stream import Entry
from ordinaut.telemetry import get_logger
from scheduler.metrics import CHAINS_STOPPED, CONDITION_FAILED

log = get_logger()
ENDED_TOPICS = {f"ordinaut.run.{state.lower()}": state for state in ("SUCCEEDED", "FAILED", "CANCELLED")}
AWAITED_KINDS = frozenset({"CHILD", "RETRY"})


@dataclass(frozen=True, slots=True)
class Numbered:
    """One event with its place in the log."""

    project: str
    position: int
    time: datetime
    body: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """What `event` is in a condition and in the pipeline."""
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
        """The same as JSON."""
        return orjson.dumps(self.document(), option=orjson.OPT_UTC_Z)


class Match(NamedTuple):
    """A run to be: its task and trigger, the event's uid, the event and the trigger's params as JSON, its depth."""

    task: UUID
    trigger: str
    uid: str
    event: str
    params: str | None
    depth: int


class End(NamedTuple):
    """How a run ended, and the time of the event that says so."""

    state: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What some events come to; `ended` are the tasks of which runs have ended, with their ends in order.

    `backfilled` are the runs of backfills among those that have ended, with their states.
    `children` are the ended runs for which a step of another may wait.
    """

    matches: list[Match]
    ended: dict[UUID, list[End]]
    backfilled: dict[UUID, str]
    children: list[UUID]


def matches_of(entries: Sequence[Entry], triggers: Sequence[Record]) -> Found:
    """Holds every event against the triggers of its project."""
    of_topic = _Topics(triggers)
    matches: list[Match] = []
    ended: dict[str | None, list[End]] = defaultdict(list)
    backfilled: dict[UUID, str] = {}
    children: list[UUID] = []
    for entry in entries:
        time = datetime.fromtimestamp(entry.time_us / 1_000_000, UTC)
        position = entry.position
        for document in orjson.loads(entry.events):
            topic, count = document["topic"], len(document["runs"]) if "runs" in document else 1
            if waiting := of_topic[entry.project, topic]:
                for numbered in _numbered(entry.project, position, time, [document]):
                    matches += [match for trigger in waiting if (match := _match(numbered, trigger))]
            if state := ENDED_TOPICS.get(topic):
                ended[document["data"].get("task_uid")] += [End(state, time)] * count
                kind = document["data"].get("kind")
                runs = document.get("runs") or [document["source"].partition("/")[2]]
                if kind == "BACKFILL":
                    backfilled |= dict.fromkeys(map(UUID, runs), state)
                elif kind in AWAITED_KINDS:
                    children += map(UUID, runs)
            position += count
    return Found(
        matches, {UUID(task): ends for task, ends in ended.items() if task}, backfilled=backfilled, children=children
    )


class _Topics(dict[tuple[str, str], list[Record]]):
    """The triggers that wait for a topic of a project, looked for once."""

    def __init__(self, triggers: Sequence[Record]) -> None:
        super().__init__()
        self._of_project: dict[str, list[Record]] = defaultdict(list)
        for trigger in triggers:
            self._of_project[trigger["project"]].append(trigger)

    def __missing__(self, place: tuple[str, str]) -> list[Record]:
        project, topic = place
        self[place] = [
            trigger for trigger in self._of_project.get(project, ()) if topic_matcher(trigger["topic"])(topic)
        ]
        return self[place]


def events_of(entry: Entry) -> Iterator[Numbered]:
    """The events of one row of the log."""
    time = datetime.fromtimestamp(entry.time_us / 1_000_000, UTC)
    return _numbered(entry.project, entry.position, time, orjson.loads(entry.events))


def _numbered(project: str, first: int, time: datetime, documents: list[dict[str, Any]]) -> Iterator[Numbered]:
    for position, body in enumerate(event.unfolded(documents), first):
        yield Numbered(project, position, time, body)


def _match(numbered: Numbered, trigger: Record) -> Match | None:
    if numbered.position <= trigger["effective_position"]:
        return None
    document = numbered.json()
    if not _holds(trigger, document):
        return None
    depth = numbered.body["depth"] + 1
    if depth > MAX_CHAIN_DEPTH:
        CHAINS_STOPPED.inc()
        log.warning("event_chain_stopped", task=str(trigger["task"]), topic=numbered.body["topic"], depth=depth)
        return None
    return Match(trigger["task"], trigger["trigger"], numbered.body["uid"], document.decode(), trigger["params"], depth)


def _holds(trigger: Record, document: bytes) -> bool:
    """A condition that cannot be told is recorded and counts as false: repeating would change nothing."""
    if not trigger["condition"]:
        return True
    try:
        return compile_expression(trigger["condition"]).holds(orjson.loads(document))
    except ExpressionError as failure:
        CONDITION_FAILED.inc()
        log.warning("trigger_condition_failed", task=str(trigger["task"]), failure=str(failure))
        return False
