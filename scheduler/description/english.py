"""Schedules in English."""

from collections.abc import Sequence
from typing import ClassVar

from scheduler.description.language import Language


class English(Language):
    """Plain English."""

    code: ClassVar[str] = "en"
    weekday_names: ClassVar[Sequence[str]] = (
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
    )  # fmt: skip
    month_names: ClassVar[Sequence[str]] = (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    )  # fmt: skip
    both: ClassVar[str] = "and"
    either: ClassVar[str] = "or"
    last: ClassVar[str] = "the last day"

    def runs(self, what: str) -> str:
        """`Runs every day.`."""
        return f"Runs {what}."

    def every(self, unit: str, number: int) -> str:
        """`every 2 weeks`."""
        return f"every {unit}" if number == 1 else f"every {number} {unit}s"

    def at(self, times: Sequence[str]) -> str:
        """`at 07:30 and 19:30`."""
        return f"at {self.listed(times)}"

    def between(self, first: str, last: str) -> str:
        """`from 09:00 to 17:45`."""
        return f"from {first} to {last}"

    def at_minutes(self, minutes: Sequence[int], hours: Sequence[int] | None) -> str:
        """`at minute 5 of every hour`."""
        name = "minute" if len(minutes) == 1 else "minutes"
        of = "of every hour" if hours is None else f"of the hours {self.numbers(hours)}"
        return f"at {name} {self.numbers(minutes)} {of}"

    def in_hours(self, hours: Sequence[int]) -> str:
        """`during the hours 9-17`."""
        return f"during the hours {self.numbers(hours)}" if len(hours) > 1 else f"during the hour {hours[0]}"

    def weekdays(self, days: Sequence[int]) -> str:
        """`on Monday and Friday`."""
        if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
            return f"from {self.weekday_names[days[0]]} to {self.weekday_names[days[-1]]}"
        return f"on {self.listed([self.weekday_names[day] for day in days])}"

    def month_days_on(self, days: Sequence[int], weekdays: Sequence[int]) -> str:
        """`on day 1-7 of the month, but only on Monday,`."""
        return f"{self.month_days(days)}, but only {self.weekdays(weekdays)},"

    def month_days(self, days: Sequence[int]) -> str:
        """`on day 1 and 15 of the month`."""
        from_start = [day for day in days if day > 0]
        parts = [f"day {self.numbers(from_start)}"] if from_start else []
        parts += [self.last if day == -1 else f"day {-day} from the end" for day in days if day < 0]
        return f"on {self.listed(parts)} of the month"

    def months(self, months: Sequence[int]) -> str:
        """`in January and March`."""
        return f"in {self.listed([self.month_names[month - 1] for month in months])}"

    def nth_weekday(self, nth: int, weekday: int, *, of_year: bool) -> str:
        """`on the last Friday of the month`."""
        place = "last" if nth == -1 else f"{_ordinal(abs(nth))}{' to last' if nth < 0 else ''}"
        return f"on the {place} {self.weekday_names[weekday]} of the {'year' if of_year else 'month'}"

    def moved_days(self, *, backward: bool) -> str:
        """`(in shorter months on the last day)`."""
        return f"(in shorter months on {'the last day' if backward else 'the day after the last one'})"

    def year_days(self, days: Sequence[int]) -> str:
        """`on day 100 of the year`."""
        return f"on day {self.numbers(days)} of the year"

    def weeks(self, weeks: Sequence[int]) -> str:
        """`in week 20 of the year`."""
        return f"in week {self.numbers(weeks)} of the year"

    def positions(self, places: Sequence[int]) -> str:
        """`only the last of these`."""
        names = [
            "last" if place == -1 else f"{_ordinal(abs(place))}{' to last' if place < 0 else ''}" for place in places
        ]
        return f"only the {self.listed(names)} of these"

    def once(self, when: str) -> str:
        """`once, on 2026-07-01 at 12:00`."""
        return f"once, on {when}"

    def on_event(self, topic: str, *, conditional: bool) -> str:
        """`when an event mail.* arrives`."""
        return f"when an event {topic} arrives{' that meets its condition' if conditional else ''}"

    def never(self) -> str:
        """`only when it is asked to`."""
        return "only when it is asked to"

    def since(self, when: str) -> str:
        """`from 2026-06-01 09:00 on`."""
        return f"from {when} on"

    def until(self, when: str) -> str:
        """`until 2026-12-24 00:00`."""
        return f"until {when}"

    def times(self, number: int) -> str:
        """`10 times in all`."""
        return "one time in all" if number == 1 else f"{number} times in all"

    def without(self, days: Sequence[str], rules: Sequence[str]) -> str:
        """`except on 2026-12-25`."""
        parts = [f"on {self.listed(days)}"] if days else []
        return f"except {self.listed([*parts, *rules])}"

    def more_dates(self, added: int, removed: int) -> str:
        """`with 2 dates added and 1 left out`."""
        parts = [f"{added} added"] if added else []
        return f"with single dates: {self.listed([*parts, *([f'{removed} left out'] if removed else [])])}"

    def later(self, span: str) -> str:
        """`starting up to 10 min later`."""
        return f"starting up to {span} later"

    def newest_missed(self, span: str) -> str:
        """`After an outage, the newest missed occurrence runs, up to 24 h late.`."""
        return f"After an outage, the newest missed occurrence runs, {_late(span)}."

    def all_missed(self, number: int, span: str) -> str:
        """`After an outage, the newest 100 missed occurrences run, however late.`."""
        return f"After an outage, the newest {number} missed occurrences run, {_late(span)}."

    def none_missed(self) -> str:
        """`After an outage, missed occurrences do not run.`."""
        return "After an outage, missed occurrences do not run."

    def in_zone(self, zone: str) -> str:
        """`in the time of Europe/Chisinau`."""
        return f"in the time of {zone}"


def _late(span: str) -> str:
    return f"up to {span} late" if span else "however late"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"
