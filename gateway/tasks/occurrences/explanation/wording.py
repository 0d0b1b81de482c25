"""Formats the facts about an instant as text."""

import re
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.json_values import to_datetime
from gateway.tasks.occurrences.explanation import english, romanian
from gateway.tasks.occurrences.explanation.facts import Facts
from gateway.tasks.occurrences.explanation.verdict import Obstacle, Verdict, verdict
from ordinaut.sensitive import masked
from ordinaut.store.runs.run import RunRecord
from ordinaut.v1.explanation_pb2 import Hindrance


class Language(NamedTuple):
    """The templates of one language."""

    phrases: dict[str, str]
    obstacles: dict[Hindrance.Kind.ValueType, str]
    reasons: dict[str, str]


LANGUAGES = {
    "en": Language(english.PHRASES, english.OBSTACLES, english.REASONS),
    "ro": Language(romanian.PHRASES, romanian.OBSTACLES, romanian.REASONS),
}
_RUN = frozenset({Verdict.QUEUED, Verdict.RUNNING, Verdict.ENDED})


class Wording:
    """Formats facts in one language, with times in the zone of the schedule."""

    def __init__(self, facts: Facts, language: str) -> None:
        self._facts = facts
        self._language = LANGUAGES[language]
        names = (facts.schedule.time_zone, *(trigger.time_zone for trigger in facts.schedule.triggers))
        self._zone = _zone(next(filter(None, names), ""))

    def text(self, obstacles: list[Obstacle]) -> str:
        """Returns the verdict, the obstacles, and the neighbouring times of the schedule."""
        sentences = [self._verdict()]
        if clauses := [self.obstacle(obstacle) for obstacle in obstacles]:
            joined = "; ".join(clauses)
            sentences.append(f"{joined[0].upper()}{joined[1:]}.")
        return " ".join([*sentences, *self._clock_change(), *self._around()])

    def obstacle(self, obstacle: Obstacle) -> str:
        """Returns an obstacle as a clause."""
        reason = self._facts.task.state_reason
        return self._language.obstacles[obstacle.kind].format(
            resource=obstacle.resource,
            number=obstacle.number,
            time=self._local(obstacle.time),
            reason=f" ({reason})" if reason else "",
        )

    def _verdict(self) -> str:
        facts, how = self._facts, verdict(self._facts)
        if how == Verdict.NOT_RUN and facts.entry is not None:
            return self._phrase(facts.entry.outcome, reason=self._reason(), successor=self._successor())
        if how == Verdict.ENDED and facts.run is None and facts.entry is not None:
            return self._phrase("RUN_DELETED", run=f"runs/{facts.entry.run}")
        if how in _RUN and facts.run is not None:
            return self._phrase(
                Verdict.Name(how),
                run=f"runs/{facts.run.id}",
                state=facts.run.state,
                since=self._local(facts.run.create_time),
                start=self._local(facts.run.start_time),
                end=self._local(facts.run.end_time),
                error=_error_suffix(facts.run),
            )
        if how == Verdict.LATE:
            return self._phrase("LATE", late=str(facts.now - facts.time).partition(".")[0])
        if how == Verdict.NOTHING_DUE:
            return self._phrase(self._nothing())
        return self._phrase(Verdict.Name(how))

    def _nothing(self) -> str:
        facts = self._facts
        if facts.around is None:
            return "UNKNOWN"
        if not any(trigger.WhichOneof("kind") != "event" for trigger in facts.schedule.triggers):
            return "NO_TIMES"
        return "NOTHING_UPCOMING" if facts.time > facts.now else "NOTHING_DUE"

    def _around(self) -> list[str]:
        around, how, run = self._facts.around, verdict(self._facts), self._facts.run
        sentences = []
        if how == Verdict.NOT_RUN and run is not None:  # it started too late, or was run by a backfill
            sentences.append(self._phrase("RUN", run=f"runs/{run.id}", state=run.state))
        if around is None:
            return sentences
        if around.excluded and how == Verdict.UPCOMING:
            sentences.append(self._phrase("EXCLUDED_AHEAD"))
        if how == Verdict.NOTHING_DUE and self._was_due_before():
            outcome = self._facts.previous.outcome if self._facts.previous else ""
            suffix = self._phrase("OUTCOME", outcome=outcome) if outcome else ""
            sentences.append(self._phrase("BEFORE", before=self._local_time(around.before_time), outcome=suffix))
        if around.HasField("after"):
            sentences.append(self._phrase("AFTER", after=self._local_time(around.after.fire_time)))
        elif around.HasField("at") or around.HasField("before"):
            sentences.append(self._phrase("NO_LATER_TIME"))
        return sentences

    def _clock_change(self) -> list[str]:
        """Names the clock change that skips or repeats the time, and the occurrence that it moves."""
        around = self._facts.around
        if around is None or not around.HasField("clock_change"):
            return []
        change = around.clock_change
        day, before = change.before.split("T")
        after = change.after.partition("T")[2]
        name = "CLOCKS_SKIP" if change.after > change.before else "CLOCKS_REPEAT"
        sentences = [self._phrase(name, zone=change.time_zone, day=day, before=before[:5], after=after[:5])]
        for moved in (around.at, around.before, around.after):
            if moved.dst_adjusted and moved.nominal_time.startswith(day):
                nominal, time = moved.nominal_time.partition("T")[2], moved.local_time.partition("T")[2]
                return [*sentences, self._phrase("MOVED", nominal=nominal[:5], time=time[:5])]
        return sentences

    def _was_due_before(self) -> bool:
        """Whether the schedule has an earlier time that concerns this task."""
        around, previous = self._facts.around, self._facts.previous
        if around is None or not around.HasField("before"):
            return False
        return previous is not None or to_datetime(around.before_time) >= self._facts.task.create_time

    def _reason(self) -> str:
        reason = self._facts.entry.reason if self._facts.entry else ""
        for pattern, translation in self._language.reasons.items():
            if match := re.fullmatch(pattern, reason):
                return match.expand(translation)
        return reason  # reasons from callers are not translated

    def _successor(self) -> str:
        successor = self._facts.successor
        if successor is None:
            return ""
        return self._phrase("SUCCESSOR", successor=self._local(successor.time), outcome=successor.outcome)

    def _phrase(self, name: str, **facts: str) -> str:
        return self._language.phrases[name].format(instant=self._local(self._facts.time), **facts)

    def _local_time(self, time: Timestamp) -> str:
        return self._local(to_datetime(time))

    def _local(self, time: datetime | None) -> str:
        return "" if time is None else time.astimezone(self._zone).isoformat(" ", "seconds")


def _error_suffix(run: RunRecord) -> str:
    """Returns why a run failed or was cancelled, in brackets; empty if it did neither."""
    if run.error is None:
        return f" ({run.cancel_reason})" if run.cancel_reason else ""
    error = orjson.loads(run.error)
    return f" ({error.get('code', '')}: {masked(error.get('message', ''))})"


def _zone(name: str) -> ZoneInfo:
    """Returns the zone to display times in; UTC if this machine does not know the zone."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
