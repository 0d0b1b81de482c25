"""The interface of a language in which schedules are described."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar


class Language(ABC):
    """Phrases of one language; weekdays count from Monday = 0, months and days of the month from 1."""

    code: ClassVar[str]
    weekday_names: ClassVar[Sequence[str]]
    month_names: ClassVar[Sequence[str]]
    both: ClassVar[str]
    either: ClassVar[str]
    last: ClassVar[str]

    def listed(self, items: Sequence[str], joint: str = "") -> str:
        """`a, b and c`; `joint` in place of `and`."""
        if len(items) < 2:
            return "".join(items)
        return f"{', '.join(items[:-1])} {joint or self.both} {items[-1]}"

    def numbers(self, values: Sequence[int]) -> str:
        """Numbers, with three or more consecutive ones as a range."""
        runs: list[list[int]] = []
        for value in values:
            if runs and runs[-1][-1] + 1 == value:
                runs[-1].append(value)
            else:
                runs.append([value])
        spans = [[f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(value) for value in run] for run in runs]
        return self.listed([text for span in spans for text in span])

    @abstractmethod
    def runs(self, what: str) -> str:
        """The whole sentence from the part after `runs`."""

    @abstractmethod
    def every(self, unit: str, number: int) -> str:
        """Every `number` seconds, minutes, hours, days, weeks, months or years."""

    @abstractmethod
    def at(self, times: Sequence[str]) -> str:
        """At these times of day."""

    @abstractmethod
    def between(self, first: str, last: str) -> str:
        """From one time of day to another."""

    @abstractmethod
    def at_minutes(self, minutes: Sequence[int], hours: Sequence[int] | None) -> str:
        """At these minutes of every hour, or of these hours."""

    @abstractmethod
    def in_hours(self, hours: Sequence[int]) -> str:
        """During these hours."""

    @abstractmethod
    def weekdays(self, days: Sequence[int]) -> str:
        """On these days of the week."""

    @abstractmethod
    def month_days_on(self, days: Sequence[int], weekdays: Sequence[int]) -> str:
        """On these days of the month that are also these days of the week."""

    @abstractmethod
    def month_days(self, days: Sequence[int]) -> str:
        """On these days of the month; negative ones count from its end."""

    @abstractmethod
    def months(self, months: Sequence[int]) -> str:
        """In these months."""

    @abstractmethod
    def nth_weekday(self, nth: int, weekday: int, *, of_year: bool) -> str:
        """On the nth such weekday of the month or year; negative ones count from the end."""

    @abstractmethod
    def moved_days(self, *, backward: bool) -> str:
        """In a month without that day: on its last day, or on the first day after it."""

    @abstractmethod
    def year_days(self, days: Sequence[int]) -> str:
        """On these days of the year."""

    @abstractmethod
    def weeks(self, weeks: Sequence[int]) -> str:
        """In these weeks of the year."""

    @abstractmethod
    def positions(self, places: Sequence[int]) -> str:
        """Only these of the times in each period."""

    @abstractmethod
    def once(self, when: str) -> str:
        """Once, at that time."""

    @abstractmethod
    def on_event(self, topic: str, *, conditional: bool) -> str:
        """When an event arrives."""

    @abstractmethod
    def never(self) -> str:
        """Never by itself."""

    @abstractmethod
    def since(self, when: str) -> str:
        """Not before."""

    @abstractmethod
    def until(self, when: str) -> str:
        """Not after."""

    @abstractmethod
    def times(self, number: int) -> str:
        """At most `number` times."""

    @abstractmethod
    def without(self, days: Sequence[str], rules: Sequence[str]) -> str:
        """Except on these dates and on the days of these rules."""

    @abstractmethod
    def more_dates(self, added: int, removed: int) -> str:
        """The numbers of single dates that a rule adds and removes."""

    @abstractmethod
    def later(self, span: str) -> str:
        """Starting up to `span` later."""

    @abstractmethod
    def newest_missed(self, span: str) -> str:
        """The sentence: the newest missed occurrence runs up to `span` late; however late if `span` is empty."""

    @abstractmethod
    def all_missed(self, number: int, span: str) -> str:
        """The sentence: the newest `number` missed occurrences run up to `span` late; empty: however late."""

    @abstractmethod
    def none_missed(self) -> str:
        """The sentence: missed occurrences do not run."""

    @abstractmethod
    def in_zone(self, zone: str) -> str:
        """In the local time of a zone."""
