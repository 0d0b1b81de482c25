"""A cron expression in words."""

from scheduler.description.clock_words import MAX_TIMES, clock
from scheduler.description.language import Language
from scheduler.triggers.cron.parse import CronFields, parse_cron

_ALL_DAYS, _ALL_WEEKDAYS, _ALL_MONTHS = 31, 7, 12


def cron_words(text: str, language: Language) -> str:
    """Describes when it fires: days, then times, then months.

    Raises:
        ScheduleError: INVALID_CRON.
    """
    fields = parse_cron(text)
    times = clock(fields.minutes, fields.hours, language)
    parts = [_days(fields, language), times]
    if not parts[0]:
        listed = len(fields.minutes) * len(fields.hours) <= MAX_TIMES
        parts[0] = language.every("day", 1) if listed else ""
    if len(fields.months) < _ALL_MONTHS:
        parts.append(language.months(fields.months))
    return " ".join(part for part in parts if part)


def _days(fields: CronFields, language: Language) -> str:
    """Vixie's rule: either field is enough when both are restricted; a step such as `*/2` counts as a star."""
    parts = []
    if len(fields.days) < _ALL_DAYS:
        parts.append(language.month_days(fields.days))
    if len(fields.weekdays) < _ALL_WEEKDAYS:
        parts.append(language.weekdays(sorted((day - 1) % 7 for day in fields.weekdays)))
    joint = language.both if fields.any_day or fields.any_weekday else language.either
    if joint == language.either and len(parts) < 2:
        return ""  # one field matches every day, and either is enough
    return language.listed(parts, joint)
