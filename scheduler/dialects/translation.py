"""The result of a translation: what a text of another dialect means as a trigger of ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Certainty(Enum):
    """How sure a translation is.

    CERTAIN: there is one reading, and every reader of the dialect agrees. ASSUMED: the first reading is the most
    probable one. ASK: only the writer can decide. REFUSED: there is no reading.
    """

    CERTAIN = "certain"
    ASSUMED = "assumed"
    ASK = "ask"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class TimeText:
    """A trigger: `kind` is cron, rrule, interval or once; `value` is its JSON form, for an interval such as `90s`."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One possible meaning of a text.

    `id` and `label` distinguish it from the other readings of the text. `zone`: the text names this IANA zone; empty if
    it does not. `lost`: parts that a trigger cannot have, such as the command of a crontab line. `params`: params that
    keep what would be lost. `why`: what the translation does, in one sentence.
    """

    id: str
    label: str
    trigger: TimeText
    zone: str = ""
    lost: Sequence[str] = ()
    params: tuple[tuple[str, str], ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Translation:
    """What a text means. `question` is set for ASSUMED and ASK, `message` for REFUSED."""

    certainty: Certainty
    readings: Sequence[Reading] = ()
    question: str = ""
    message: str = ""
    default: str = ""

    @property
    def trigger(self) -> TimeText | None:
        """The trigger of the only or most probable reading; None for ASK and REFUSED."""
        certain = self.certainty in (Certainty.CERTAIN, Certainty.ASSUMED)
        return self.readings[0].trigger if certain else None


class InexpressibleError(ValueError):
    """The text is of a known dialect and cannot be a trigger of ours; the message explains it."""


def refused(message: str) -> Translation:
    """A translation without a reading."""
    return Translation(Certainty.REFUSED, message=message)


def certain(reading: Reading) -> Translation:
    """A translation with one reading."""
    return Translation(Certainty.CERTAIN, (reading,))
