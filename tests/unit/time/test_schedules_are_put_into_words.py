"""One sentence for a schedule in two languages, what the coming clock changes do to it, and how often it runs."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from scheduler.description.sentence import LANGUAGES, sentence
from scheduler.schedules.nearby_instants import runs_per_year
from scheduler.validation.schedule import compiled
from tests.unit.time.writing import NOW, check, schedule_of

WORDS = [
    (
        {"rrule": "DTSTART:20260601T090000\nRRULE:FREQ=MONTHLY;BYMONTHDAY=31;SKIP=BACKWARD"},
        "every month on day 31 of the month (in shorter months on the last day) at 09:00",
        "în fiecare lună în ziua 31 a lunii (în lunile mai scurte în ultima zi) la 09:00",
    ),
    (
        {"cron": "0 9 */100,1-7 * 1"},
        "on day 1-7 of the month, but only on Monday, at 09:00",
        "în zilele 1-7 ale lunii, dar numai luni, la 09:00",
    ),
    ({"cron": "30 7 * * mon-fri"}, "from Monday to Friday at 07:30", "de luni până vineri la 07:30"),
    ({"cron": "@daily"}, "every day at 00:00", "în fiecare zi la 00:00"),
    ({"cron": "* * * * *"}, "every minute", "în fiecare minut"),
    ({"cron": "*/20 * * * *"}, "every 20 minutes", "la fiecare 20 de minute"),
    (
        {"cron": "*/15 9-17 * * *"},
        "every 15 minutes from 09:00 to 17:45",
        "la fiecare 15 minute de la 09:00 până la 17:45",
    ),
    ({"cron": "0 */2 * * *"}, "every 2 hours from 00:00 to 22:00", "la fiecare 2 ore de la 00:00 până la 22:00"),
    ({"cron": "5,35 * * * *"}, "at minutes 5 and 35 of every hour", "la minutele 5 și 35 ale fiecărei ore"),
    (
        {"cron": "0 0 13 * 5"},
        "on day 13 of the month or on Friday at 00:00",
        "în ziua 13 a lunii sau în fiecare vineri la 00:00",
    ),
    ({"cron": "0 0 */10 * 5"}, "on day 1, 11, 21 and 31 of the month, but only on Friday, at 00:00", None),
    (
        {"cron": "0 9 1,15 1,7 *"},
        "on day 1 and 15 of the month at 09:00 in January and July",
        "în zilele 1 și 15 ale lunii la 09:00 în ianuarie și iulie",
    ),
    ({"cron": "0 9 1-31 * 1"}, "every day at 09:00", "în fiecare zi la 09:00"),
    (
        {"rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;BYHOUR=9;BYMINUTE=0;COUNT=10"},
        "every 2 weeks on Monday and Thursday at 09:00, 10 times in all",
        "la fiecare 2 săptămâni în zilele de luni și joi la 09:00, de 10 ori în total",
    ),
    (
        {"rrule": "FREQ=MONTHLY;BYDAY=-1FR"},
        "every month on the last Friday of the month at 13:00",
        "în fiecare lună în ultima zi de vineri a lunii la 13:00",
    ),
    (
        {"rrule": "FREQ=MONTHLY;BYMONTHDAY=-1"},
        "every month on the last day of the month at 13:00",
        "în fiecare lună în ultima zi a lunii la 13:00",
    ),
    (
        {"rrule": "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"},
        "every month from Monday to Friday at 13:00 only the last of these",
        None,
    ),
    (
        {"rrule": "FREQ=YEARLY;BYDAY=20MO;UNTIL=20301224"},
        "every year on the 20th Monday of the year at 13:00, until 2030-12-24",
        None,
    ),
    ({"rrule": "FREQ=HOURLY;INTERVAL=6"}, "every 6 hours", "la fiecare 6 ore"),
    (
        {"rrule": "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11"},
        "every 20 minutes during the hours 9-11",
        "la fiecare 20 de minute în orele 9-11",
    ),
    ({"once": "2026-07-01T12:00:00"}, "once, on 2026-07-01 12:00", "o singură dată, la 2026-07-01 12:00"),
]
ZONE = "Europe/Chisinau"


@pytest.mark.parametrize(("trigger", "english", "romanian"), WORDS, ids=range(len(WORDS)))
def test_words(trigger: dict[str, Any], english: str, romanian: str | None) -> None:
    """What it says is what the trigger does, in the zone's time."""
    found = check(trigger, time_zone=ZONE).schedule
    assert sentence(found, NOW) == f"Runs {english}, in the time of {ZONE}."
    if romanian:
        assert sentence(found, NOW, "ro") == f"Rulează {romanian}, după ora din {ZONE}."


def test_seconds_taken_from_the_creation_time_give_a_warning() -> None:
    """A rule without DTSTART takes them from there, which few expect."""
    rule = {"rrule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0"}
    found = check(rule, now=NOW + timedelta(seconds=33), time_zone="UTC")
    assert sentence(found.schedule, NOW) == "Runs every day at 09:00:33, in the time of UTC."
    assert found.warnings == ["triggers[0]: the second (33) is that of the creation time; add BYSECOND=0 or a DTSTART"]
    assert not check(rule, time_zone="UTC").warnings


def test_the_whole_schedule() -> None:
    """The union, and everything around it."""
    fields: dict[str, Any] = {
        "start_time": "2026-06-01T00:00:00Z", "end_time": "2027-01-01T00:00:00Z", "max_occurrences": 30,
        "exclusions": [{"date": "2026-12-25"}, {"rrule": "FREQ=WEEKLY;BYDAY=SU"}], "jitter": "600s",
    }  # fmt: skip
    found = check({"interval": "5400s"}, {"event": {"topic": "mail.*", "when": "data.x"}}, **fields).schedule
    assert sentence(found, NOW) == (
        "Runs every 90 minutes and when an event mail.* arrives that meets its condition, "
        "from 2026-06-01 00:00 UTC on, until 2027-01-01 00:00 UTC, 30 times in all, "
        "except on 2026-12-25 and every week on Sunday, "
        "starting up to 10 min later."
    )
    assert sentence(found, NOW, "ro").startswith("Rulează la fiecare 90 de minute și când sosește un eveniment mail.*")


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_a_schedule_without_triggers(code: str) -> None:
    """It waits to be asked."""
    assert sentence(schedule_of(), NOW, code) in {"Runs only when it is asked to.", "Rulează numai la cerere."}


@pytest.mark.parametrize(
    ("trigger", "warning"),
    [
        ({"cron": "30 3 * * *"}, "on 2027-03-28 clocks skip 03:30: it runs at 04:00"),
        ({"cron": "30 3 * * *"}, "on 2026-10-25 clocks show 03:30 twice: it runs at the first"),
        ({"rrule": "FREQ=DAILY;BYHOUR=3;BYMINUTE=30"}, "on 2027-03-28 clocks skip 03:30: it runs at 04:30"),
        ({"interval": "86400s"}, "triggers[0]: its local time shifts by an hour on 2026-10-25"),
    ],
)
def test_coming_clock_changes(trigger: dict[str, str], warning: str) -> None:
    """What a change of the coming year does is said beforehand, once."""
    zone = "Europe/Bucharest"
    assert check(trigger, time_zone=zone).warnings.count(warning) == 1


@pytest.mark.parametrize("trigger", [{"cron": "0 9 * * *"}, {"cron": "*/30 * * * *"}, {"interval": "3600s"}])
def test_schedules_that_no_clock_change_affects(trigger: dict[str, str]) -> None:
    """No noise about times that stay what they are."""
    assert not check(trigger, time_zone="Europe/Bucharest").warnings


@pytest.mark.parametrize(
    ("trigger", "runs"),
    [
        ({"cron": "0 9 * * *"}, 365),
        ({"cron": "0 9 31 * *"}, 7),
        ({"interval": "60s"}, 525_600),
        ({"once": "2026-07-01T12:00:00Z"}, 1),
        ({"event": {"topic": "a"}}, 0),
        ({"rrule": "FREQ=DAILY;COUNT=3;BYHOUR=23;BYMINUTE=0"}, 3),
    ],
)
def test_runs_per_year(trigger: dict[str, Any], runs: int) -> None:
    """Counted, or estimated where there are too many."""
    assert runs_per_year(compiled(check(trigger, time_zone="UTC").schedule), NOW) == runs


def test_the_estimate_of_a_dense_schedule_is_near() -> None:
    """The first thousand stand for the year."""
    plan = compiled(check({"cron": "*/5 * * * *"}, time_zone="UTC").schedule)
    assert abs(runs_per_year(plan, datetime.fromisoformat("2026-05-01T00:00:00Z")) - 105_120) < 200
