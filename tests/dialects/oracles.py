"""Independent evaluators of other dialects, written from their public rules; they share no code with the scheduler.

Each says of a day and of a second of a day whether the expression names it. Times of day do not depend on the day in
any of these dialects, so that two years are the days walked one by one, times the seconds walked one by one.
"""

import calendar as months_of
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Oracle:
    """The days and the seconds of a day that an expression names."""

    is_day: Callable[[date], bool]
    seconds: list[int]

    def between(self, first: date, last: date) -> Iterator[datetime]:
        """Every local time on the days from the first to the last one."""
        day = first
        while day <= last:
            if self.is_day(day):
                midnight = datetime.combine(day, datetime.min.time())
                for second in self.seconds:
                    yield midnight + timedelta(seconds=second)
            day += DAY

    def after(self, local: datetime, last: date) -> datetime | None:
        """The first local time after another one."""
        return next((time for time in self.between(local.date(), last) if time > local), None)


def number(word: str, names: tuple[str, ...], base: int) -> int:
    """The value of a number or a name."""
    return names.index(word.upper()) + base if word.upper() in names else int(word)


def has(word: str, value: int, low: int, high: int, names: tuple[str, ...] = (), base: int = 0) -> bool:
    """Whether a field of lists, ranges that may wrap, and steps contains the value."""
    for item in word.split(","):
        span, _, step = item.partition("/")
        if span in ("*", "?", ""):
            first, last = low, high
        elif "-" in span:
            first, last = (number(end, names, base) for end in span.split("-"))
        else:
            first = number(span, names, base)
            last = high if step else first
        at, steps = first, 0
        while True:
            if at == value and steps % int(step or 1) == 0:
                return True
            if at == last:
                break
            at, steps = (low if at == high else at + 1), steps + 1
    return False


def seconds_of(second: str, minute: str, hour: str) -> list[int]:
    """The seconds of a day."""
    seconds = [value for value in range(60) if has(second, value, 0, 59)]
    minutes = [value for value in range(60) if has(minute, value, 0, 59)]
    hours = [value for value in range(24) if has(hour, value, 0, 23)]
    return sorted(h * 3600 + m * 60 + s for h in hours for m in minutes for s in seconds)


def last_of(day: date) -> int:
    """The number of days of its month."""
    return months_of.monthrange(day.year, day.month)[1]


def by_day_of_month(word: str, day: date) -> bool:
    """Day of month with L, L-3, LW and 15W."""
    for item in word.upper().split(","):
        if item == "LW" or item.endswith("W"):
            if day == nearest(day, last_of(day) if item == "LW" else int(item[:-1])):
                return True
        elif item.startswith("L"):
            if day.day == last_of(day) - int(item[2:] or 0):
                return True
        elif has(item, day.day, 1, 31):
            return True
    return False


def nearest(day: date, wanted: int) -> date | None:
    """The weekday (Monday to Friday) of the month that is nearest to that day of it."""
    if wanted > last_of(day):
        return None
    target = day.replace(day=wanted)
    for distance in (0, -1, 1, -2, 2):
        other = target + distance * DAY
        if other.month == target.month and other.isoweekday() <= 5:
            return other
    return None


def by_weekday(word: str, day: date, sunday: int, low: int, high: int) -> bool:
    """Day of week with L, 5L and MON#1; `sunday` is the number of Sunday."""
    value = day.isoweekday() % 7 + sunday
    for item in word.upper().split(","):
        if item == "L":
            if day.isoweekday() == 6:
                return True
        elif "#" in item:
            name, place = item.split("#")
            if (number(name, DAY_NAMES, sunday) - sunday) % 7 + sunday == value and (day.day - 1) // 7 + 1 == int(
                place
            ):
                return True
        elif item.endswith("L"):
            wanted = (number(item[:-1], DAY_NAMES, sunday) - sunday) % 7 + sunday
            if wanted == value and (day + 7 * DAY).month != day.month:
                return True
        elif any(has(item, same, low, high, DAY_NAMES, sunday) for same in {value, 7 if value == 0 else value}):
            return True
    return False


def cron(text: str, order: str, *, sunday: int, first: int, last: int, either: bool) -> Oracle:
    """A cron expression whose fields are in that order; a weekday with a step counts from `first` to `last`."""
    word = {"s": "0", "Y": "*"} | dict(zip(order, text.split(), strict=True))

    def is_day(day: date) -> bool:
        if not has(word["M"], day.month, 1, 12, MONTH_NAMES, 1) or not has(word["Y"], day.year, 1970, 2199):
            return False
        of_month = word["D"] in "*?" or by_day_of_month(word["D"], day)
        of_week = word["W"] in "*?" or by_weekday(word["W"], day, sunday, first, last)
        stars = word["D"][0] in "*?" or word["W"][0] in "*?"
        return (of_month or of_week) if either and not stars else (of_month and of_week)

    return Oracle(is_day, seconds_of(word["s"], word["m"], word["h"]))


def quartz(text: str) -> Oracle:
    """Quartz: seconds first, 1 is Sunday, exactly one `?`."""
    order = "smhDMWY" if len(text.split()) == 7 else "smhDMW"
    return cron(text, order, sunday=1, first=1, last=7, either=False)


def aws(text: str) -> Oracle:
    """EventBridge: year last, 1 is Sunday, exactly one `?`."""
    return cron(text.removeprefix("cron(").removesuffix(")"), "mhDMWY", sunday=1, first=1, last=7, either=False)


def spring(text: str) -> Oracle:
    """Spring: seconds first, 0 and 7 are Sunday, both day fields must fit; a star is Monday to Sunday."""
    return cron(text, "smhDMW", sunday=0, first=1, last=7, either=False)


def node_cron(text: str) -> Oracle:
    """node-cron: seconds first, 0 and 7 are Sunday, either day field fits."""
    return cron(text, "smhDMW", sunday=0, first=0, last=7, either=True)


def crontab(text: str) -> Oracle:
    """crontab(5), with open steps, wrapping ranges and names as newer readers have them."""
    return cron(text, "mhDMW", sunday=0, first=0, last=6, either=True)


def on_calendar(text: str) -> Oracle:
    """A calendar event: weekdays, date, time; each may be left out."""
    words = text.split()
    weekday = words.pop(0) if words[0][0].isalpha() else ""
    day_word = words.pop(0) if words and ("-" in words[0] or "~" in words[0]) else "*-*-*"
    clock = (words.pop(0) if words else "00:00:00").split(":")
    parts = day_word.replace("~", "-~").split("-")

    def of(word: str, value: int, low: int, high: int) -> bool:
        return has(word.replace("..", "-"), value, low, high)

    def is_day(day: date) -> bool:
        if weekday and not any(
            day.isoweekday() % 7 in _from_to(*[name[:3].upper() for name in item.split("..")])
            for item in weekday.split(",")
        ):
            return False
        *year, month, number_word = parts
        if not of(month, day.month, 1, 12) or (year and not of(year[0], day.year, 1970, 2199)):
            return False
        if number_word.startswith("~"):
            back = last_of(day) - day.day + 1
            return any(_from_end(item, back) for item in number_word[1:].split(","))
        return of(number_word, day.day, 1, 31)

    clock = [part.replace("..", "-") for part in [*clock, "0"][:3]]
    return Oracle(is_day, seconds_of(clock[2], clock[1], clock[0]))


def _from_to(first: str, last: str = "") -> set[int]:
    at, days = DAY_NAMES.index(first), set()
    while True:
        days.add(at)
        if at == DAY_NAMES.index(last or first):
            return days
        at = (at + 1) % 7


def _from_end(item: str, back: int) -> bool:
    start, _, step = item.partition("/")
    return back == int(start) or (bool(step) and back < int(start) and (int(start) - back) % int(step) == 0)
