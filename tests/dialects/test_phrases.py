"""Every production of the phrases, in both languages, against the days and times that it names; and our own sentences.

The oracle of a phrase is a trigger that is written by hand, or a question.
"""

from datetime import UTC, datetime
from itertools import product
from random import Random

import pytest

from scheduler.description.sentence import sentence
from scheduler.dialects.phrases.parse import LANGUAGES
from scheduler.dialects.times import next_times
from scheduler.dialects.translate import translate
from scheduler.dialects.translation import Certainty, TimeText
from scheduler.validation.schedule import validate
from tests.unit.time.writing import schedule_of

NOW = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
TAIL = "BYHOUR=9;BYMINUTE=30;BYSECOND=0"
EN_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
RO_DAYS = ("luni", "marți", "miercuri", "joi", "vineri", "sâmbătă", "duminică")
RULE_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
EN_MONTHS = ("January", "March", "June", "December")
RO_MONTHS = ("ianuarie", "martie", "iunie", "decembrie")
MONTH_NUMBERS = (1, 3, 6, 12)
CLOCKS = (
    ("at 9", 9, 0), ("at 09:05", 9, 5), ("at 9am", 9, 0), ("at 9:30 pm", 21, 30), ("at 12 am", 0, 0),
    ("at 12pm", 12, 0),
    ("at noon", 12, 0), ("at midnight", 0, 0), ("at 17h", 17, 0), ("at 17h30", 17, 30), ("@ 8:15", 8, 15),
    ("at 7 o'clock", 7, 0), ("at 23:59", 23, 59),
)  # fmt: skip
RO_CLOCKS = (
    ("la 9", 9, 0), ("la ora 9", 9, 0), ("la 9:30", 9, 30), ("la 18.45", 18, 45), ("ora 17", 17, 0),
    ("la miezul nopții", 0, 0), ("la prânz", 12, 0),
)  # fmt: skip


def is_same(text: str, expected: TimeText) -> bool:
    """Whether the text is certain and has the times of the trigger."""
    translation = translate(text, "cron", NOW, "UTC")
    assert translation.certainty is Certainty.CERTAIN, (text, translation)
    assert translation.trigger is not None
    return next_times(translation.trigger, NOW, None, 40) == next_times(expected, NOW, None, 40)


def cron(text: str) -> TimeText:
    """A cron trigger."""
    return TimeText("cron", text)


@pytest.mark.parametrize(("clock", "hour", "minute"), [*CLOCKS])
def test_english_times(clock: str, hour: int, minute: int) -> None:
    """Each form of a time of day, behind and in front of the days."""
    for days, field in (("every day", "*"), ("every weekday", "1-5"), ("on weekends", "0,6"), ("on Mondays", "1")):
        assert is_same(f"{days} {clock}", cron(f"{minute} {hour} * * {field}"))
        assert is_same(f"{clock} {days}", cron(f"{minute} {hour} * * {field}"))


@pytest.mark.parametrize(("clock", "hour", "minute"), [*RO_CLOCKS])
def test_romanian_times(clock: str, hour: int, minute: int) -> None:
    """The same in Romanian, with and without diacritics."""
    for days, field in (
        ("în fiecare zi", "*"),
        ("zilnic", "*"),
        ("în zilele lucrătoare", "1-5"),
        ("in zilele lucratoare", "1-5"),
        ("în weekend", "0,6"),
        ("în fiecare luni", "1"),
        ("lunea", "1"),
    ):
        assert is_same(f"{days} {clock}", cron(f"{minute} {hour} * * {field}"))
        assert is_same(f"{clock} {days}", cron(f"{minute} {hour} * * {field}"))


@pytest.mark.parametrize("number", range(7))
def test_weekdays(number: int) -> None:
    """One, two, a range, and the nth of the month."""
    other = (number + 2) % 7
    day, second = (number + 1) % 7, (other + 1) % 7
    for english in (EN_DAYS[number], EN_DAYS[number][:3], EN_DAYS[number].lower()):
        assert is_same(f"every {english} at 9:30", cron(f"30 9 * * {day}"))
    between = sorted({day, (day + 1) % 7, second})
    field = ",".join(map(str, between))
    assert is_same(f"{EN_DAYS[number]} and {EN_DAYS[other]} at 9:30", cron(f"30 9 * * {day},{second}"))
    assert is_same(f"from {EN_DAYS[number]} to {EN_DAYS[other]} at 9:30", cron(f"30 9 * * {field}"))
    assert is_same(f"{RO_DAYS[number]} și {RO_DAYS[other]} la 9:30", cron(f"30 9 * * {day},{second}"))
    assert is_same(f"de {RO_DAYS[number]} până {RO_DAYS[other]} la 9:30", cron(f"30 9 * * {field}"))


@pytest.mark.parametrize("number", range(7))
def test_numbered_weekdays(number: int) -> None:
    """The nth and the last of the month."""
    ordinals = (
        ("first", "prima", "1"), ("2nd", "a doua", "2"), ("third", "a treia", "3"), ("fourth", "a 4-a", "4"),
        ("last", "ultima", "-1"),
    )  # fmt: skip
    for english, romanian, nth in ordinals:
        rule = TimeText("rrule", f"FREQ=MONTHLY;BYDAY={nth}{RULE_DAYS[number]};{TAIL}")
        assert is_same(f"{english} {EN_DAYS[number]} of the month at 9:30", rule)
        assert is_same(f"on the {english} {EN_DAYS[number]} of every month at 9:30", rule)
        assert is_same(f"{romanian} {RO_DAYS[number]} din lună la 9:30", rule)
        assert is_same(f"în {romanian} zi de {RO_DAYS[number]} a lunii la 9:30", rule)


@pytest.mark.parametrize("day", [1, 2, 3, 11, 22, 28, 31])
def test_days_of_the_month(day: int) -> None:
    """By ordinal and by number."""
    ordinal = f"{day}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th') if day != 11 else 'th' }"
    for text in (
        f"on the {ordinal} of the month at 9:30",
        f"{ordinal} day of every month at 9:30",
        f"monthly on the {ordinal} at 9:30",
        f"on day {day} of the month at 9:30",
        f"pe {day} ale lunii la 9:30",
        f"în ziua {day} a lunii la 9:30",
        f"lunar pe {day} la 9:30",
    ):
        assert is_same(text, cron(f"30 9 {day} * *"))


@pytest.mark.parametrize("place", range(4))
def test_months(place: int) -> None:
    """Days in some months, and days of the year."""
    english, romanian, number = EN_MONTHS[place], RO_MONTHS[place], MONTH_NUMBERS[place]
    assert is_same(f"every Monday at 9:30 in {english}", cron(f"30 9 * {number} 1"))
    assert is_same(f"every day in {english[:3]} at 9:30", cron(f"30 9 * {number} *"))
    assert is_same(f"every year on {english} 5 at 9:30", cron(f"30 9 5 {number} *"))
    assert is_same(f"every year on the 5th of {english} at 9:30", cron(f"30 9 5 {number} *"))
    assert is_same(f"în fiecare zi în {romanian} la 9:30", cron(f"30 9 * {number} *"))
    assert is_same(f"în fiecare an pe 5 {romanian} la 9:30", cron(f"30 9 5 {number} *"))


def test_ends_of_the_month() -> None:
    """The last day, the first and the last workday."""
    last = TimeText("rrule", f"FREQ=MONTHLY;BYMONTHDAY=-1;{TAIL}")
    first_work = TimeText("rrule", f"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1;{TAIL}")
    last_work = TimeText("rrule", f"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;{TAIL}")
    assert is_same("on the last day of the month at 9:30", last)
    assert is_same("at the end of every month at 9:30", last)
    assert is_same("în ultima zi a lunii la 9:30", last)
    assert is_same("first business day of the month at 9:30", first_work)
    assert is_same("prima zi lucrătoare a lunii la 9:30", first_work)
    assert is_same("on the last weekday of the month at 9:30", last_work)
    assert is_same("ultima zi lucrătoare din lună la 9:30", last_work)


@pytest.mark.parametrize("number", [1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 90])
def test_steps(number: int) -> None:
    """Divisors of the hour and the day follow the clock, other steps are intervals."""
    minutes = cron(f"*/{number} * * * *") if 60 % number == 0 else TimeText("interval", f"{number * 60}s")
    hours = cron(f"0 */{number} * * *") if 24 % number == 0 else TimeText("interval", f"{number * 3600}s")
    assert is_same(f"every {number} minutes", minutes)
    assert is_same(f"every {number}m", minutes)
    assert is_same(f"la fiecare {number} minute", minutes)
    assert is_same(f"every {number} hours", hours)
    assert is_same(f"din {number} în {number} ore", hours)
    assert is_same(f"every {number} seconds", TimeText("interval", f"{number}s"))


@pytest.mark.parametrize(("english", "romanian", "text"), [
    ("every minute", "în fiecare minut", "* * * * *"),
    ("every hour", "în fiecare oră", "0 * * * *"),
    ("at minute 5 of every hour", "la minutul 5 al fiecărei ore", "5 * * * *"),
    ("at minutes 5 and 35 of every hour on weekdays", "la minutele 5 și 35 ale fiecărei ore în zilele lucrătoare",
     "5,35 * * * 1-5"),
    ("every 2 hours on weekends", "la fiecare două ore în weekend", "0 */2 * * 0,6"),
    ("every hour between 9 and 17", "în fiecare oră între 9 și 17", "0 9-17 * * *"),
    ("every 2 hours from 8 to 18", "la fiecare 2 ore de la 8 până la 18", "0 8-18/2 * * *"),
    ("every 15 minutes from 09:00 to 17:45", "la fiecare 15 minute de la 09:00 până la 17:45", "*/15 9-17 * * *"),
    ("every half hour", "la fiecare jumătate de oră", "*/30 * * * *"),
    ("4 times an hour", "de 4 ori pe oră", "*/15 * * * *"),
    ("every evening at 8", "în fiecare seară la 8", "0 20 * * *"),
    ("every morning at 7", "în fiecare dimineață la 7", "0 7 * * *"),
    ("at 7:30 and 19:30 every day", "la 7:30 și 19:30 în fiecare zi", "30 7,19 * * *"),
    ("daily", "zilnic", "0 0 * * *"),
    ("monthly", "lunar", "0 0 1 * *"),
    ("yearly", "anual", "0 0 1 1 *"),
])  # fmt: skip
def test_pairs(english: str, romanian: str, text: str) -> None:
    """One meaning in both languages."""
    assert is_same(english, cron(text))
    assert is_same(romanian, cron(text))


@pytest.mark.parametrize("text", [
    "9am", "at 9 and 17", "noon", "every day", "every Monday", "weekdays", "last day of the month", "twice a day",
    "every other Tuesday", "every 3 days at 9", "every morning", "weekly", "tomorrow at 9", "next Friday at 10",
    "in 20 minutes", "on December 24 at 18:00", "on the 15th at 9", "every 30 minutes between 9 and 17", "la 9",
    "în fiecare zi", "prima luni din lună", "de 2 ori pe zi", "mâine la 9", "joia viitoare la 9", "peste 2 ore",
    "pe 24 decembrie la 18", "săptămânal", "la fiecare 2 săptămâni marți la 9",
])  # fmt: skip
def test_what_is_open_is_asked(text: str) -> None:
    """A missing day or time, a first week, one time or many: the writer decides."""
    translation = translate(text, "cron", NOW, "UTC")
    assert translation.certainty in (Certainty.ASK, Certainty.ASSUMED), translation
    assert len(translation.readings) > 1


def test_examples_are_understood() -> None:
    """What a refusal recommends is accepted."""
    for language in LANGUAGES:
        for example in language.EXAMPLES:
            assert translate(example, "cron", NOW, "UTC").readings, example


def written(random: Random) -> list[dict[str, str]]:
    """Simple triggers of every kind."""
    hours = sorted(random.sample(range(24), 2))
    minute = random.choice((0, 15, 30, 45))
    days = random.choice(("*", "1-5", "0,6", "1", "2,4"))
    month_days = random.choice(("1", "15", "1,15", "28"))
    return [
        {"cron": f"{minute} {hours[0]} * * {days}"},
        {"cron": f"{minute} {hours[0]},{hours[1]} * * {days}"},
        {"cron": f"{minute} {hours[0]} {month_days} * *"},
        {"cron": f"{minute} {hours[0]} * {random.choice(('3', '1,7'))} {days}"},
        {"cron": f"*/{random.choice((5, 10, 15, 20, 30))} * * * *"},
        {"cron": f"*/{random.choice((10, 15, 20, 30))} {hours[0]}-{hours[1]} * * 1-5"},
        {"cron": f"{random.choice((5, 7, 50))} * * * *"},
        {"interval": f"{random.choice((90, 420, 5400, 172_800))}s"},
        {"rrule": f"FREQ=MONTHLY;BYDAY={random.choice((1, 2, -1))}FR;BYHOUR={hours[0]};BYMINUTE={minute};BYSECOND=0"},
        {"rrule": f"FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR={hours[0]};BYMINUTE={minute};BYSECOND=0"},
        {"rrule": f"FREQ=WEEKLY;BYDAY=MO,WE;BYHOUR={hours[1]};BYMINUTE={minute};BYSECOND=0"},
        {"rrule": f"FREQ=DAILY;BYHOUR={hours[1]};BYMINUTE={minute};BYSECOND=0"},
    ]


@pytest.mark.parametrize(("language", "seed"), list(product(("en", "ro"), range(8))))
def test_our_own_sentences_are_read_back(language: str, seed: int) -> None:
    """The explanation of a simple schedule is a phrase with the same times."""
    for trigger in written(Random(f"{seed}")):
        [(kind, value)] = trigger.items()
        if kind == "rrule":
            value = f"DTSTART;TZID=Europe/Chisinau:20260501T000000\nRRULE:{value}"
        completed = validate(schedule_of({kind: value}, time_zone="Europe/Chisinau"), NOW, stored=False).schedule
        completed.ClearField("start_time")
        explanation = sentence(completed, NOW, language)
        translation = translate(explanation, "cron", NOW)
        assert translation.certainty is Certainty.CERTAIN, (trigger, explanation, translation)
        [reading] = translation.readings
        assert reading.zone == ("" if kind == "interval" else "Europe/Chisinau")
        local = TimeText(kind, value.replace(";TZID=Europe/Chisinau", ""))
        assert next_times(reading.trigger, NOW, None, 20) == next_times(local, NOW, None, 20), (explanation, reading)
