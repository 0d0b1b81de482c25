"""A recurrence rule in words."""

from datetime import date, datetime

from scheduler.description.clock_words import clock
from scheduler.description.language import Language
from scheduler.triggers.localtime.clock_grid import ALL_HOURS
from scheduler.triggers.rrule.day_sets import completed
from scheduler.triggers.rrule.lines import CalendarText, parse_calendar_text
from scheduler.triggers.rrule.parse import Frequency, Rule, Skip

_UNITS = {
    Frequency.YEARLY: "year",
    Frequency.MONTHLY: "month",
    Frequency.WEEKLY: "week",
    Frequency.DAILY: "day",
    Frequency.HOURLY: "hour",
    Frequency.MINUTELY: "minute",
    Frequency.SECONDLY: "second",
}
_SHORTEST_MONTH = 28


def rule_words(text: str, language: Language, *, with_clock: bool = True) -> str:
    """Describes how often it fires, on which days, at which times, and its end. The text has a DTSTART.

    Raises:
        ScheduleError: INVALID_RRULE.
    """
    parts = parse_calendar_text(text)
    if parts.start is None:
        return ""
    if parts.rule is None:
        dates = sorted(listed.at for listed in parts.added)
        return language.listed([language.once(_time(at)) for at in [parts.start, *dates]])
    rule = completed(parts.rule, parts.start.date())
    phrases = [language.every(_UNITS[rule.frequency], rule.interval), *_days(rule, language)]
    if with_clock:
        phrases += _clock(rule, parts.start, language)
    if rule.positions:
        phrases.append(language.positions(rule.positions))
    return ", ".join([" ".join(phrases), *_ends(parts, rule, language)])


def _days(rule: Rule, language: Language) -> list[str]:
    phrases = []
    if rule.weekdays:
        plain = [day.number for day in rule.weekdays if not day.nth]
        phrases += [language.weekdays(plain)] if plain else []
        of_year = rule.frequency == Frequency.YEARLY and not rule.months
        numbered = [day for day in rule.weekdays if day.nth]
        if numbered:
            phrases.append(
                language.listed([language.nth_weekday(day.nth, day.number, of_year=of_year) for day in numbered])
            )
    if rule.month_days:
        phrases.append(language.month_days(sorted(rule.month_days, key=lambda day: (day < 0, abs(day)))))
        if rule.moves_days and max(abs(day) for day in rule.month_days) > _SHORTEST_MONTH:
            phrases.append(language.moved_days(backward=rule.skip is Skip.BACKWARD))
    if rule.year_days:
        phrases.append(language.year_days(rule.year_days))
    if rule.weeks:
        phrases.append(language.weeks(rule.weeks))
    if rule.months:
        phrases.append(language.months(rule.months))
    return phrases


def _clock(rule: Rule, start: datetime, language: Language) -> list[str]:
    if rule.frequency <= Frequency.DAILY:
        seconds = rule.seconds or (start.second,)
        return [clock(rule.minutes or (start.minute,), rule.hours or (start.hour,), language, seconds)]
    phrases = []
    if rule.minutes:
        phrases.append(language.at_minutes(rule.minutes, None))
    if rule.hours and rule.hours != ALL_HOURS:
        phrases.append(language.in_hours(rule.hours))
    return phrases


def _ends(parts: CalendarText, rule: Rule, language: Language) -> list[str]:
    phrases = []
    if rule.count is not None:
        phrases.append(language.times(rule.count))
    if rule.until is not None:
        phrases.append(language.until(_time(rule.until)))
    if parts.added or parts.excluded:
        phrases.append(language.more_dates(len(parts.added), len(parts.excluded)))
    return phrases


def _time(at: date | datetime) -> str:
    if not isinstance(at, datetime):
        return at.isoformat()
    return f"{at:%Y-%m-%d %H:%M}" + ("" if at.tzinfo is None else " UTC")
