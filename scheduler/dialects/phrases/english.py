"""The productions of English phrases. `<kind>` is a placeholder; its kinds are in PLACES."""

import re

from scheduler.dialects.words import ENGLISH_MONTHS, ENGLISH_WEEKDAYS

NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty-five": 45,
}  # fmt: skip
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
UNITS = {
    "second": "second", "sec": "second", "minute": "minute", "min": "minute", "hour": "hour", "day": "day",
    "week": "week", "month": "month", "year": "year", "s": "second", "m": "minute", "h": "hour", "hr": "hour",
    "d": "day",
}  # fmt: skip
SINGULAR = ("second", "minute", "hour", "day", "week", "month", "year")
CLOCK_WORDS = {"noon": 12 * 3600, "midday": 12 * 3600, "midnight": 0}
DAYS_AHEAD = {"today": 0, "tomorrow": 1, "the day after tomorrow": 2}
DAY_PARTS = {"morning": "morning", "evening": "evening", "night": "night"}
TIMES_PER = {"once": 1, "twice": 2}
WEEKDAYS, MONTHS = ENGLISH_WEEKDAYS, ENGLISH_MONTHS
PLURAL = "s?"
FROM, TO, AND = "from", "to|through|thru|until|till", "and|or"

REPEATED = re.compile(r"\b(?:every|each)\b|days$|\bmonth\b")
"""What makes a day a repeated one: `every Monday`, `Mondays`, `the 15th of the month`."""

_OF_MONTH = r"(?:of|in) (?:(?:the|each|every|a) )?month"
PRODUCTIONS = {
    "adverb": r"(?P<adverb>hourly|daily|weekly|monthly|yearly|annually)",
    "every_unit": r"(?:every|each|once an?|once per|once every) (?:single )?<single>",
    "every_number": r"(?:once )?(?:every|each) <number> ?<unit>s?",
    "every_other": r"(?:every (?:other|second|2nd)|(?P<alternate>alternate)) <unit>s?",
    "half_hour": r"every (?P<half>half(?: an)?|quarter(?: of an)?)[ -]hour",
    "workdays": r"(?:every |each |on |all )?(?:the )?(?:week|work|working |business )days?(?: only)?",
    "weekend": r"(?:every |each |on |at )?(?:the )?weekends?",
    "weekdays": r"(?:every |each |on |only on )?(?:the )?<weekdays>",
    "other_weekday": r"(?:every|each) (?:other|second|2nd) <weekdays>",
    "numbered_weekday": rf"(?:on |every )?(?:the )?<ordinals> <weekday> {_OF_MONTH}",
    "last_day": r"(?:on |at )?(?:the )?(?:last day|end) (?:of|in) (?:the|each|every) month|(?:at )?month[ -]end",
    "edge_workday": rf"(?:on )?(?:the )?(?P<edge>first|last) (?:week|work|working |business )day {_OF_MONTH}",
    "month_days": rf"(?:on )?(?:the )?<nths>(?: day)? {_OF_MONTH}|on (?:the )?<nths>",
    "numbered_days": rf"on days? <numbers> {_OF_MONTH}",
    "date_of_year": r"(?:on )?(?:every )?(?:<month> (?:the )?<nth>|(?:the )?<nth> (?:of )?<month>)",
    "full_date": r"(?:on )?(?:the )?(?:<month> <nth>(?: ,)? <year>|<nth> (?:of )?<month>(?: ,)? <year>)",
    "months": r"(?:in|of|every|each|during) <months>",
    "at_times": r"(?:at|@) <times>(?: ?o'?clock| ?hours)?",
    "clear_times": r"<clear_times>",
    "window": r"(?:between|from) <low> (?:and|to|until|till|through) <high>",
    "at_minutes": r"(?:at (?:minutes?|:)|:)? ?<numbers>(?: minutes?)? (?:of|past|after) (?:every|each|the) hour"
    r"|(?:every hour|hourly),? at (?:minutes? |:)<numbers>",
    "at_minutes_of_hours": r"at minutes? <numbers> of the hours? <more_numbers>",
    "on_the_hour": r"(?:every hour )?on the hour",
    "times_per": r"(?:<times_per>|<number> times) (?:an?|per|each|every) <unit>",
    "day_part": r"(?:every|each) <day_part>|(?P<nightly>nightly)",
    "days_ahead": r"(?:on )?<days_ahead>(?: morning)?",
    "next_weekday": r"(?:on )?(?:next|this|coming) <weekday>",
    "after_span": r"(?:in|after) <number> <unit>s?(?: from now)?|<number> <unit>s? from now",
    "on_date": r"(?:once,? )?(?:on )?<date>",
    "zone": r"(?:,? ?in the time of |,? ?\(?(?:in )?(?:time ?zone )?)<zone>\)?(?: time)?",
}
OPENING = r"(?:(?:please )?(?:runs?|schedule[ds]?|repeats?|fires?|executes?)(?: it)? )"
EXAMPLES = (
    "every weekday at 9:00",
    "every day at 08:30",
    "daily at 08:30",
    "Monday and Thursday at 18:30",
    "every other Tuesday at 9:00",
    "first Monday of the month at 8:30",
    "last day of the month at 18:00",
    "last business day of the month at 17:00",
    "on the 1st and 15th of the month at 9:00",
    "every year on December 24 at 18:00",
    "every 15 minutes",
    "every 2 hours",
    "every hour",
    "every 15 minutes from 09:00 to 17:45 on weekdays",
    "at minute 5 of every hour",
    "every weekend at 10:00",
    "tomorrow at 9:00",
    "in 2 hours",
    "2026-07-01 at 12:00",
)
