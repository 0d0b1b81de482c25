"""The answers of the caller to the questions of an earlier response."""

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from gateway.drafts.draft import Ask, Option
from gateway.drafts.zones import TIME_ZONE, setting
from ordinaut.errors import InvalidArgumentError, Violation


@dataclass(slots=True)
class Answers:
    """`chosen` maps ids of questions to ids of choices; `time_zone` is the zone of the caller, or empty."""

    chosen: Mapping[str, str]
    time_zone: str = ""
    wrong: list[Violation] = field(default_factory=list)

    def option(self, ask: Ask) -> Option | None:
        """The option that was chosen; None without an answer. An unknown choice is noted in `wrong`."""
        choice = self.chosen.get(ask.id)
        if choice is None:
            return None
        option = next((option for option in ask.options if option.id == choice), None)
        if option is None and ask.id.endswith(TIME_ZONE) and is_zone(choice):
            return Option(choice, f"local times in {choice}", patch=[setting(choice)])
        if option is None:
            ids = ", ".join(option.id for option in ask.options[:20])
            self.wrong.append(Violation(f"answers[{ask.id!r}]", f"must be one of {ids} (got {choice[:80]!r})"))
        return option

    def check(self) -> None:
        """Raises the answers that do not exist.

        Raises:
            InvalidArgumentError: with a violation for each of them.
        """
        if self.wrong:
            raise InvalidArgumentError.of(list(dict.fromkeys(self.wrong)))


def is_zone(name: str) -> bool:
    """Whether this is the name of an IANA time zone."""
    return name in _names()


@cache
def _names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
