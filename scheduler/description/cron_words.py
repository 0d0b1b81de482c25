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
    """Vixie's rule: either field is enough, unless one begins with a star, such as `*/2`: then both must match."""
    of_month = fields.days if len(fields.days) < _ALL_DAYS else ()
    of_week = sorted((day - 1) % 7 for day in fields.weekdays) if len(fields.weekdays) < _ALL_WEEKDAYS else []
    if of_month and of_week:
        if fields.any_day or fields.any_weekday:
            return language.month_days_on(of_month, of_week)
        return language.listed([language.month_days(of_month), language.weekdays(of_week)], language.either)
    if not (fields.any_day or fields.any_weekday):
        return ""  # one field matches every day, and either is enough
    if of_month:
        return language.month_days(of_month)
    return language.weekdays(of_week) if of_week else ""
