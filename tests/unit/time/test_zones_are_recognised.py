"""A text that is not an IANA name is repaired only if one zone can be meant; otherwise the caller is asked."""

import json
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from google.protobuf.json_format import MessageToDict

from ordinaut.internal.v1.violation_pb2 import Violation
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.localtime.zone import same_zone, zone_names
from scheduler.triggers.localtime.zone_names import Correction, meaning
from scheduler.validation.schedule import validate
from tests.unit.time.writing import NOW, check, schedule_of

TABLES = json.loads((files("scheduler.triggers.localtime") / "zone_words.json").read_text("utf-8"))


def refused(name: str, now: datetime = NOW) -> Violation:
    """The violation of a schedule in that zone."""
    [violation] = validate(schedule_of({"cron": "0 9 * * *"}, time_zone=name), now, stored=False).violations
    assert (violation.field, violation.reason) == ("time_zone", ErrorReason.UNKNOWN_TIMEZONE)
    return violation


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("Asia/Mumbai", "Asia/Kolkata"), ("Mumbai", "Asia/Kolkata"), ("Beijing", "Asia/Shanghai"),
        ("America/San_Francisco", "America/Los_Angeles"), ("San Francisco", "America/Los_Angeles"),
        ("Europe/Munich", "Europe/Berlin"), ("München", "Europe/Berlin"), ("București", "Europe/Bucharest"),
        ("Chișinău", "Europe/Chisinau"), ("Kishinev", "Europe/Chisinau"), ("Varșovia", "Europe/Warsaw"),
        ("Londres", "Europe/London"), ("Wien", "Europe/Vienna"), ("new york", "America/New_York"),
        ("GTB Standard Time", "Europe/Bucharest"), ("Pacific Standard Time", "America/Los_Angeles"),
        ("India Standard Time", "Asia/Kolkata"), ("W. Europe Standard Time", "Europe/Berlin"),
        ("utc", "UTC"), ("Z", "UTC"), ("europe/chisinau", "Europe/Chisinau"), (" Europe/Chisinau", "Europe/Chisinau"),
        ("Europe/Chisnau", "Europe/Chisinau"), ("Europe/Bukharest", "Europe/Bucharest"),
        ("America/Los_Angelos", "America/Los_Angeles"), ("Australia/Sidney", "Australia/Sydney"),
        ("Europe/Kiyv", "Europe/Kyiv"), ("America/Chigaco", "America/Chicago"), ("America/Racine", "America/Chicago"),
        ("Europe/Lodnon", "Europe/London"), ("Amercia/New_York", "America/New_York"),
    ],
)  # fmt: skip
def test_what_only_one_zone_can_be_is_repaired(name: str, becomes: str) -> None:
    """Windows names, cities, exonyms, case, and misspelling inside a region."""
    violation = refused(name)
    [operation] = violation.fix.operations
    assert MessageToDict(operation) == {"op": "add", "path": "/time_zone", "value": becomes}
    assert not violation.questions


@pytest.mark.parametrize(
    "name",
    ["Europe/Tbilisi", "Asia/Moscow", "Europe/Atlantis", "Mars/Base", "XYZT", "UTC+15", "GMT-13:00", "local", "Romania",
     "Victoria", "Europe/Mumbai", "Chisnau", "Etc/GMT+15", "+99:00", "Africa", "Europe/", "/", "Europe/Xondon"],
)  # fmt: skip
def test_what_may_be_another_zone_is_not_repaired(name: str) -> None:
    """Another region, no region, an offset that no clock has."""
    violation = refused(name)
    assert not violation.HasField("fix")
    assert not violation.questions


@pytest.mark.parametrize(
    ("name", "fixed", "among"),
    [
        ("UTC+2", "Etc/GMT-2", "Europe/Chisinau"), ("GMT+2", "Etc/GMT-2", "Africa/Johannesburg"),
        ("GMT-5", "Etc/GMT+5", "America/New_York"), ("+02:00", "Etc/GMT-2", "Europe/Bucharest"),
        ("UTC+0200", "Etc/GMT-2", "Europe/Kyiv"), ("utc +2", "Etc/GMT-2", "Europe/Bucharest"),
        ("UTC\u22125", "Etc/GMT+5", "America/Lima"), ("Etc/UTC+2", "Etc/GMT-2", "Africa/Cairo"),
        ("+00:00", "UTC", "Europe/London"), ("GMT+14", "Etc/GMT-14", "Pacific/Kiritimati"),
    ],
)  # fmt: skip
def test_an_offset_is_a_question(name: str, fixed: str, among: str) -> None:
    """Between the fixed offset, with the sign of POSIX explained, and the zones that have the offset at that time."""
    violation = refused(name, datetime(2026, 1, 15, tzinfo=UTC))
    assert not violation.HasField("fix")
    [question] = violation.questions
    assert question.id == "time_zone:zone"
    choices = {choice.id: choice for choice in question.choices}
    assert question.choices[0].id == fixed
    assert among in choices
    assert fixed == "UTC" or "reversed" in choices[fixed].label
    assert MessageToDict(choices[among].patch[0]) == {"op": "add", "path": "/time_zone", "value": among}
    assert fixed in violation.message


def test_the_zones_of_an_offset_depend_on_the_season() -> None:
    """Chisinau is at UTC+2 in January and at UTC+3 in July."""
    seasons = [datetime(2026, month, 15, tzinfo=UTC) for month in (1, 7)]
    found = [{choice.id for choice in refused("UTC+2", now).questions[0].choices} for now in seasons]
    assert ["Europe/Chisinau" in ids for ids in found] == [True, False]
    assert ["Europe/Berlin" in ids for ids in found] == [False, True]


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("MSK", {"Europe/Moscow", "Etc/GMT-3"}), ("CEST", {"Europe/Berlin", "Etc/GMT-2"}),
        ("PST", {"America/Los_Angeles", "Asia/Manila", "Etc/GMT+8"}),
        ("IST", {"Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"}), ("est", {"America/New_York", "Etc/GMT+5"}),
        ("BST", {"Europe/London", "Asia/Dhaka"}), ("CST", {"America/Chicago", "Asia/Shanghai"}),
        ("SGT", {"Asia/Singapore", "Etc/GMT-8"}), ("Eastern Time (US & Canada)", {"America/New_York"}),
        ("PT", {"America/Los_Angeles"}), ("Central European Summer Time", {"Europe/Paris"}),
    ],
)  # fmt: skip
def test_an_abbreviation_is_a_question(name: str, choices: set[str]) -> None:
    """Several zones share it, and it names only one half of the year."""
    violation = refused(name)
    assert not violation.HasField("fix")
    assert choices <= {choice.id for choice in violation.questions[0].choices}


def test_an_unknown_zone_in_a_rule_is_repaired_inside_the_rule() -> None:
    """The rest of the text stays."""
    text = "DTSTART;TZID=Mumbai:20260601T090000\nRRULE:FREQ=DAILY"
    [violation] = check({"rrule": text}, time_zone="Asia/Kolkata").violations
    assert MessageToDict(violation.fix.operations[0]) == {
        "op": "add",
        "path": "/triggers/0/rrule",
        "value": text.replace("Mumbai", "Asia/Kolkata"),
    }
    [violation] = check({"rrule": text.replace("Mumbai", "CEST")}, time_zone="Asia/Kolkata").violations
    values = {MessageToDict(choice.patch[0])["value"] for choice in violation.questions[0].choices}
    assert text.replace("Mumbai", "Europe/Berlin") in values


def test_every_entry_of_the_tables_is_recognised() -> None:
    """Each city, alone and with the region of its zone, and each Windows name is repaired to its zone."""
    for city, zone in [(city, zone) for zone, cities in TABLES["cities"].items() for city in cities]:
        for text in (city, f"{zone.partition('/')[0]}/{city}"):
            found = meaning(text)
            assert isinstance(found, Correction), text
            assert same_zone(found.zone, zone), text
    for name, zone in TABLES["windows"].items():
        found = meaning(name)
        assert isinstance(found, Correction)
        assert found.zone == zone
    assert set(TABLES["common"]) <= zone_names()


def test_the_last_part_of_a_name_is_a_city() -> None:
    """Every name of a region and a city is found by the city alone, unless it is a state of Australia."""
    for name in zone_names():
        region, _, city = name.partition("/")
        if region in ("Africa", "America", "Asia", "Atlantic", "Europe", "Indian", "Pacific") and "/" not in city:
            found = meaning(city)
            assert name == "Pacific/Easter" or (isinstance(found, Correction) and same_zone(found.zone, name)), name


@pytest.mark.parametrize("now", [datetime(2026, month, 15, tzinfo=UTC) for month in (1, 7)])
def test_every_choice_removes_its_violation(now: datetime) -> None:
    """Of all abbreviations and of all offsets; no choice is offered twice."""
    offsets = [f"UTC{sign}{hour}{half}" for sign in "+-" for hour in range(15) for half in ("", ":30", ":45")]
    asked = 0
    for name in [*TABLES["abbreviations"], *TABLES["long_names"], *offsets]:
        if name in zone_names():
            continue  # EST, CET and the like are accepted, some with a warning
        violation = refused(name, now)
        assert not violation.HasField("fix")
        for question in violation.questions:
            asked += 1
            ids = [choice.id for choice in question.choices]
            assert len(ids) > 1
            assert len(set(ids)) == len(ids)
            assert {MessageToDict(choice.patch[0])["value"] for choice in question.choices} == set(ids)
            assert set(ids) <= zone_names()
    assert asked > 120


def test_one_wrong_letter_never_gives_another_city() -> None:
    """Every name with one letter replaced gives its own zone or no repair."""
    for name in sorted(zone_names()):
        if name.count("/") != 1 or len(name.rpartition("/")[2]) < 5 or name.startswith("Etc/"):
            continue
        middle = (name.index("/") + 1 + len(name)) // 2
        wrong = f"{name[:middle]}x{name[middle + 1 :]}"
        found = meaning(wrong)
        if wrong not in zone_names() and isinstance(found, Correction):
            assert same_zone(found.zone, name), wrong
