"""Texts with known meanings: certain ones, ambiguous ones, and those that must not be guessed."""

from datetime import UTC, datetime

import pytest

from scheduler.dialects.translate import translate
from scheduler.dialects.translation import Certainty, TimeText
from tests.dialects.corpus import ASKED, CERTAIN, REFUSED

NOW = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", CERTAIN)
def test_certain(text: str) -> None:
    """One reading, with this trigger."""
    translation = translate(text, "cron", NOW, "UTC")
    assert translation.certainty is Certainty.CERTAIN, translation
    assert translation.trigger == TimeText(*CERTAIN[text])


@pytest.mark.parametrize("text", ASKED)
def test_asked(text: str) -> None:
    """Each reading is a choice, and its label has the next times."""
    translation = translate(text, "cron", NOW, "UTC")
    assert translation.certainty in (Certainty.ASK, Certainty.ASSUMED)
    assert {reading.trigger.value for reading in translation.readings} == ASKED[text]
    assert len({reading.id for reading in translation.readings}) == len(translation.readings) > 1
    assert all(": 202" in reading.label for reading in translation.readings)
    assert translation.question.endswith("?")


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    """There is no reading that could be right."""
    assert translate(text, "cron", NOW, "UTC").certainty is Certainty.REFUSED


def test_a_lost_command_is_named() -> None:
    """Dropping an effect is never certain."""
    drop, param = translate("0 3 * * * root /usr/bin/backup --all", "cron", NOW, "UTC").readings
    assert drop.lost == ["the command /usr/bin/backup --all", "the user root"]
    assert param.params == (("command", "/usr/bin/backup --all"),)


@pytest.mark.parametrize(
    ("text", "time", "command"),
    [
        ('0 9 * * * echo "a  b"', "0 9 * * *", 'echo "a  b"'),
        ("0 9 * * 1-5 run", "0 9 * * 1-5", "run"),
        ("@daily /usr/bin/report --to=me@example.com", "@daily", "/usr/bin/report --to=me@example.com"),
        ("0 9 * * fri-mon /bin/x | mail -s 'x' me", "0 9 * * 0,1,5,6", "/bin/x | mail -s 'x' me"),
        ("CRON_TZ=UTC 0 9 * * * /bin/x", "0 9 * * *", "/bin/x"),
        ("*/5 * * * * ubuntu /usr/bin/python /a.py > /dev/null", "*/5 * * * *", "/usr/bin/python /a.py > /dev/null"),
    ],
)
def test_a_command_is_kept_as_it_is(text: str, time: str, command: str) -> None:
    """With its quotes and blanks."""
    _, param = translate(text, "cron", NOW, "UTC").readings
    assert (param.trigger.value, param.params) == (time, (("command", command),))


def test_the_zone_of_a_text_is_kept() -> None:
    """In front of cron, behind a calendar event, at the end of a phrase."""
    for text, zone in (
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", "Asia/Tokyo"),
        ("TZ=UTC 0 6 * * ?", "UTC"),
        ("0 9 * * 1-5 Europe/Berlin", "Europe/Berlin"),
        ("0 0 9 * * ? (UTC)", "UTC"),
        ("Mon..Fri *-*-* 09:00 Europe/Berlin", "Europe/Berlin"),
        ("every day at 9 in the time of Europe/Chisinau", "Europe/Chisinau"),
    ):
        translation = translate(text, "cron", NOW)
        assert [reading.zone for reading in translation.readings] == [zone]
        assert translation.certainty is Certainty.CERTAIN


def test_relative_days_need_a_zone() -> None:
    """Without one, tomorrow is not a date."""
    assert "time_zone" in translate("tomorrow at 9am", "once", NOW).message


def test_the_nearest_examples_are_named() -> None:
    """A phrase that is not understood is answered with three that are."""
    message = translate("every wekday at nine", "cron", NOW, "UTC").message
    assert message.count('"') == 6
    assert "every weekday at 9:00" in message


def test_an_interval_stays_an_interval() -> None:
    """The field decides between elapsed time and times of the clock."""
    assert translate("every 15 minutes", "interval", NOW, "UTC").trigger == TimeText("interval", "900s")
    assert translate("every 15 minutes", "cron", NOW, "UTC").trigger == TimeText("cron", "*/15 * * * *")
    assert translate("every 15 minutes", "cron", NOW).trigger == TimeText("interval", "900s")
    assert translate("every day", "interval", NOW, "UTC").trigger == TimeText("interval", "86400s")


def test_times_in_elapsed_repetition_keep_their_instant() -> None:
    """A start in UTC is the same instant in the schedule's zone."""
    trigger = translate("R5/2026-06-01T00:00:00Z/PT1H", "rrule", NOW, "Europe/Chisinau").trigger
    assert trigger == TimeText("rrule", "DTSTART:20260601T030000\nRRULE:FREQ=HOURLY;COUNT=5")


def test_a_single_time_in_another_zone_is_an_instant() -> None:
    """It needs no zone of the schedule."""
    for text in ("TZ=Asia/Tokyo 2027-07-01 12:00", "2027-07-01T12:00[Asia/Tokyo]", "2027-07-01 at 12:00 Asia/Tokyo"):
        [reading] = translate(text, "once", NOW, "Europe/Chisinau").readings
        assert (reading.trigger, reading.zone) == (TimeText("once", "2027-07-01T12:00:00+09:00"), "")


def test_the_field_decides_what_is_open() -> None:
    """A span in `once`, a frequency in `rrule`, a word in `interval`."""
    asked = {
        ("once", "5 minutes"): {"2026-05-01T10:05:00Z", "300s"},
        ("once", "PT15M"): {"2026-05-01T10:15:00Z", "900s"},
        ("rrule", "daily"): {"0 0 * * *", "FREQ=DAILY"},
        ("rrule", "weekly"): {"0 0 * * 1", "0 0 * * 0", "FREQ=WEEKLY"},
        ("once", "Monday at 9"): {"2026-05-04T09:00:00", "0 9 * * 1"},
    }
    for (field, text), values in asked.items():
        translation = translate(text, field, NOW, "UTC")
        assert translation.certainty is Certainty.ASK
        assert {reading.trigger.value for reading in translation.readings} == values
    assert translate("daily", "interval", NOW, "UTC").trigger == TimeText("interval", "86400s")
    assert translate("monthly", "interval", NOW, "UTC").certainty is Certainty.REFUSED
