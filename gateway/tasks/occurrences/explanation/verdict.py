"""Derives the verdict about an instant and the obstacles from facts. Pure functions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.tasks.occurrences.explanation.facts import Facts
from ordinaut.v1.explanation_pb2 import Hindrance, OccurrenceExplanation

SERVING = "SERVING"
Kind = Hindrance.Kind
Verdict = OccurrenceExplanation.Verdict
_OF_RUN = {"QUEUED": Verdict.QUEUED, "RUNNING": Verdict.RUNNING, "WAITING": Verdict.RUNNING}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why an occurrence did not or does not start; `number` is a count, for kinds that have one."""

    kind: Hindrance.Kind.ValueType
    resource: str = ""
    time: datetime | None = None
    number: int = 0


def verdict(facts: Facts) -> OccurrenceExplanation.Verdict.ValueType:
    """Returns the verdict about the instant."""
    entry, around = facts.entry, facts.around
    if entry is not None and entry.outcome not in {"ENQUEUED", "BUFFERED"} and entry.backfill is None:
        return Verdict.NOT_RUN
    if entry is not None:
        return _OF_RUN.get(facts.run.state, Verdict.ENDED) if facts.run else Verdict.ENDED
    if facts.time > facts.now and around is not None and around.HasField("at"):
        return Verdict.UPCOMING
    if facts.is_late or (around is None and facts.time == _next(facts)):
        return Verdict.LATE if facts.time <= facts.now else Verdict.UPCOMING
    return Verdict.NOTHING_DUE


def obstacles(facts: Facts) -> list[Obstacle]:
    """Returns the reasons why it did not or does not start, most important first; then why events start no run."""
    disabled = (Obstacle(Kind.TRIGGER_DISABLED, each.trigger, each.time) for each in facts.disabled_triggers)
    return [*_of_instant(facts), *disabled]


def _of_instant(facts: Facts) -> list[Obstacle]:
    match verdict(facts):
        case Verdict.LATE:
            return list(_of_late(facts))
        case Verdict.UPCOMING:
            return list(_of_upcoming(facts))
        case Verdict.QUEUED:
            return list(_of_queued(facts))
        case Verdict.NOT_RUN if facts.live_run is not None:
            return [Obstacle(Kind.LIVE_RUN, f"runs/{facts.live_run}")]
        case Verdict.NOTHING_DUE if facts.time < facts.task.create_time or (
            facts.is_of_another_schedule and facts.around is not None and facts.around.HasField("at")
        ):
            return [Obstacle(Kind.OTHER_SCHEDULE)]
    return []


def _next(facts: Facts) -> datetime | None:
    instant: datetime | None = facts.cursor.next_instant if facts.cursor else None
    return instant


def _of_late(facts: Facts) -> Iterator[Obstacle]:
    if facts.task.state == "PAUSED" and not facts.unsettled:
        yield Obstacle(Kind.TASK_PAUSED, time=facts.task.update_time)
        return
    start = facts.cursor.next_fire_time if facts.cursor and _next(facts) == facts.time else None
    if start is not None and start > facts.now:
        yield Obstacle(Kind.LATER_START, time=start)
    elif facts.health.get("scheduler") != SERVING:
        yield Obstacle(Kind.NO_SCHEDULER)
    else:
        yield Obstacle(Kind.CATCHING_UP)


def _of_upcoming(facts: Facts) -> Iterator[Obstacle]:
    if facts.task.state == "PAUSED":
        yield Obstacle(Kind.TASK_PAUSED, time=facts.task.update_time)
    start = facts.cursor.next_fire_time if facts.cursor and _next(facts) == facts.time else None
    if start is not None and start > facts.time:
        yield Obstacle(Kind.LATER_START, time=start)


def _of_queued(facts: Facts) -> Iterator[Obstacle]:
    place = facts.place
    if place is not None and place.state == "DELAYED":
        yield Obstacle(Kind.LATER_START, time=place.due_time)
        return
    if place is not None and place.state == "BLOCKED":
        live_run = place.exclusive
        yield Obstacle(Kind.BUFFERED_RUN, f"runs/{live_run}") if live_run else Obstacle(Kind.CATCHING_UP)
        return
    if not facts.workers:
        yield Obstacle(Kind.NO_WORKER)
    if facts.health.get("engine") != SERVING:
        yield Obstacle(Kind.NO_ENGINE)
    if place is not None and place.ahead:
        yield Obstacle(Kind.QUEUE, number=place.ahead)
    elif facts.workers and facts.health.get("engine") == SERVING:
        yield Obstacle(Kind.BUSY)
