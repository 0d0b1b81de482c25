"""What was found about a moment, put into words."""

import re
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.json_values import moment_of
from gateway.tasks.occurrences.explanation import english, romanian
from gateway.tasks.occurrences.explanation.facts import Facts
from gateway.tasks.occurrences.explanation.verdict import Obstacle, Verdict, verdict
from ordinaut.store.run import RunRecord
from ordinaut.v1.explanation_pb2 import Hindrance


class Language(NamedTuple):
    """Templates of one language."""

    phrases: dict[str, str]
    obstacles: dict[Hindrance.Kind.ValueType, str]
    reasons: dict[str, str]


LANGUAGES = {
    "en": Language(english.PHRASES, english.OBSTACLES, english.REASONS),
    "ro": Language(romanian.PHRASES, romanian.OBSTACLES, romanian.REASONS),
}
_RUN = frozenset({Verdict.QUEUED, Verdict.RUNNING, Verdict.ENDED})


class Words:
    """Speaks about one moment, in the local time of its schedule."""

    def __init__(self, facts: Facts, language: str) -> None:
        self._facts = facts
        self._language = LANGUAGES[language]
        self._zone = _zone(facts.schedule.time_zone)

    def whole(self, obstacles: list[Obstacle]) -> str:
        """How it stands, what is in its way, and what was due around it."""
        parts = [self._standing()]
        if texts := [self.obstacle(found) for found in obstacles]:
            told = "; ".join(texts)
            parts.append(f"{told[0].upper()}{told[1:]}.")
        return " ".join([*parts, *self._around()])

    def obstacle(self, found: Obstacle) -> str:
        """What is in the way, as a part of a sentence."""
        because = self._facts.task.state_reason
        return self._language.obstacles[found.kind].format(
            resource=found.resource,
            number=found.number,
            time=self._shown(found.time),
            reason=f" ({because})" if because else "",
        )

    def _standing(self) -> str:
        facts, how = self._facts, verdict(self._facts)
        if how == Verdict.NOT_RUN and facts.entry is not None:
            return self._say(facts.entry.outcome, reason=self._reason(), successor=self._successor())
        if how == Verdict.ENDED and facts.run is None and facts.entry is not None:
            return self._say("FORGOTTEN", run=f"runs/{facts.entry.run}")
        if how in _RUN and facts.run is not None:
            return self._say(
                Verdict.Name(how),
                run=f"runs/{facts.run.id}",
                state=facts.run.state,
                since=self._shown(facts.run.create_time),
                start=self._shown(facts.run.start_time),
                end=self._shown(facts.run.end_time),
                error=_why(facts.run),
            )
        if how == Verdict.LATE:
            return self._say("LATE", late=str(facts.now - facts.moment).partition(".")[0])
        if how == Verdict.NOTHING_DUE:
            return self._say(self._nothing())
        return self._say(Verdict.Name(how))

    def _nothing(self) -> str:
        facts = self._facts
        if facts.around is None:
            return "UNKNOWN"
        if not any(trigger.WhichOneof("kind") != "event" for trigger in facts.schedule.triggers):
            return "NO_TIMES"
        return "NOTHING_COMES" if facts.moment > facts.now else "NOTHING_DUE"

    def _around(self) -> list[str]:
        around, how, run = self._facts.around, verdict(self._facts), self._facts.run
        found = []
        if how == Verdict.NOT_RUN and run is not None:  # it was too late, or was made up for
            found.append(self._say("ITS_RUN", run=f"runs/{run.id}", state=run.state))
        if around is None:
            return found
        if around.excluded and how == Verdict.TO_COME:
            found.append(self._say("EXCLUDED_AHEAD"))
        if how == Verdict.NOTHING_DUE and self._was_due_before():
            outcome = self._facts.previous.outcome if self._facts.previous else ""
            told = self._say("OUTCOME", outcome=outcome) if outcome else ""
            found.append(self._say("BEFORE", before=self._stamped(around.before_time), outcome=told))
        if around.HasField("after"):
            found.append(self._say("AFTER", after=self._stamped(around.after.fire_time)))
        elif around.HasField("at") or around.HasField("before"):
            found.append(self._say("THE_END"))
        return found

    def _was_due_before(self) -> bool:
        """Something else was, which concerned this task."""
        around, previous = self._facts.around, self._facts.previous
        if around is None or not around.HasField("before"):
            return False
        return previous is not None or moment_of(around.before_time) >= self._facts.task.create_time

    def _reason(self) -> str:
        reason = self._facts.entry.reason if self._facts.entry else ""
        for known, becomes in self._language.reasons.items():
            if match := re.fullmatch(known, reason):
                return match.expand(becomes)
        return reason  # what people wrote stays as they wrote it

    def _successor(self) -> str:
        found = self._facts.successor
        if found is None:
            return ""
        return self._say("STOOD_FOR", successor=self._shown(found.time), outcome=found.outcome)

    def _say(self, phrase: str, **facts: str) -> str:
        return self._language.phrases[phrase].format(moment=self._shown(self._facts.moment), **facts)

    def _stamped(self, stamp: Timestamp) -> str:
        return self._shown(moment_of(stamp))

    def _shown(self, moment: datetime | None) -> str:
        return "" if moment is None else moment.astimezone(self._zone).isoformat(" ", "seconds")


def _why(run: RunRecord) -> str:
    """Why a run failed or was cancelled, in brackets; empty when it did neither."""
    if run.error is None:
        return f" ({run.cancel_reason})" if run.cancel_reason else ""
    error = orjson.loads(run.error)
    return f" ({error.get('code', '')}: {error.get('message', '')})"


def _zone(name: str) -> ZoneInfo:
    """Only to show times in: where this machine does not know the zone, it is UTC."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
