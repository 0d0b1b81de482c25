"""Where and when a text is read."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from scheduler.dialects.translation import Reading, TimeText, Translation, certain
from scheduler.triggers.localtime.zone import local_time
from scheduler.triggers.localtime.zone import zone as zone_of


@dataclass(frozen=True, slots=True)
class Context:
    """Where and when the text is read.

    `field`: cron, rrule, interval or once. `where`: None if no zone is known. `zone_prefix`: the zone in front of the
    text. `original`: the text as it was written.
    """

    field: str
    now: datetime
    where: ZoneInfo | None
    zone_prefix: str = ""
    original: str = ""

    @property
    def local(self) -> datetime:
        """Now in the zone, or in UTC."""
        return local_time(self.now, self.where or zone_of("UTC")).replace(fold=0, microsecond=0)


def sole(trigger: TimeText | None, dialect: str, zone: str = "") -> Translation | None:
    """A certain translation with this trigger; otherwise None."""
    if trigger is None:
        return None
    why = f"Translates it from {dialect} into {trigger.kind}."
    return certain(Reading("only", "", trigger, zone=zone, why=why))
