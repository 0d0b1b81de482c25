"""A recurrence rule in words."""

from datetime import date, datetime

from scheduler.description.clock_words import clock
from scheduler.description.language import Language
from scheduler.triggers.localtime.clock_grid import ALL_HOURS
from scheduler.triggers.rrule.day_sets import completed
from scheduler.triggers.rrule.lines import CalendarText, parse_calendar_text
from scheduler.triggers.rrule.parse import Frequency, Rule

_UNITS = {
    Frequency.YEARLY: "year",
    Frequency.MONTHLY: "month",
    Frequency.WEEKLY: "week",
    Frequency.DAILY: "day",
    Frequency.HOURLY: "hour",
    Frequency.MINUTELY: "minute",
    Frequency.SECONDLY: "second",
}


def rule_words(text: str, language: Language, *, with_clock: bool = True) -> str:
    """When it fires: how often, on which days, at which times, and its end. The text has a DTSTART.

    Raises:
        ScheduleError: INVALID_RRULE.
    """
    parts = parse_calendar_text(text)
    if parts.start is None:
        return ""
    if parts.rule is None:
        dates = sorted(listed.at for listed in parts.added)
        return language.listed([language.once(_moment(at)) for at in [parts.start, *dates]])
    rule = completed(parts.rule, parts.start.date())
    found = [language.every(_UNITS[rule.frequency], rule.interval), *_days(rule, language)]
    if with_clock:
        found += _clock(rule, parts.start, language)
    if rule.positions:
        found.append(language.positions(rule.positions))
    return ", ".join([" ".join(found), *_ends(parts, rule, language)])


def _days(rule: Rule, language: Language) -> list[str]:
    found = []
    if rule.weekdays:
        plain = [day.number for day in rule.weekdays if not day.nth]
        found += [language.weekdays(plain)] if plain else []
        of_year = rule.frequency == Frequency.YEARLY and not rule.months
        numbered = [day for day in rule.weekdays if day.nth]
        if numbered:
            found.append(
                language.listed([language.nth_weekday(day.nth, day.number, of_year=of_year) for day in numbered])
            )
    if rule.month_days:
        found.append(language.month_days(sorted(rule.month_days, key=lambda day: (day < 0, abs(day)))))
    if rule.year_days:
        found.append(language.year_days(rule.year_days))
    if rule.weeks:
        found.append(language.weeks(rule.weeks))
    if rule.months:
        found.append(language.months(rule.months))
    return found


def _clock(rule: Rule, start: datetime, language: Language) -> list[str]:
    if rule.frequency <= Frequency.DAILY:
        seconds = rule.seconds or (start.second,)
        return [clock(rule.minutes or (start.minute,), rule.hours or (start.hour,), language, seconds)]
    found = []
    if rule.minutes:
        found.append(language.at_minutes(rule.minutes, None))
    if rule.hours and rule.hours != ALL_HOURS:
        found.append(language.in_hours(rule.hours))
    return found


def _ends(parts: CalendarText, rule: Rule, language: Language) -> list[str]:
    found = []
    if rule.count is not None:
        found.append(language.times(rule.count))
    if rule.until is not None:
        found.append(language.until(_moment(rule.until)))
    if parts.added or parts.excluded:
        found.append(language.more_dates(len(parts.added), len(parts.excluded)))
    return found


def _moment(at: date | datetime) -> str:
    if not isinstance(at, datetime):
        return at.isoformat()
    return f"{at:%Y-%m-%d %H:%M}" + ("" if at.tzinfo is None else " UTC")
