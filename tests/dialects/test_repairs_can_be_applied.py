"""Every repair and every choice, applied to the schedule that was checked, removes its violation and adds none."""

from datetime import UTC, datetime
from random import Random
from typing import Any

import jsonpatch
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from ordinaut.internal.v1.violation_pb2 import Violation
from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.validation.schedule import validate
from tests.dialects.corpus import ASKED, CERTAIN, REFUSED
from tests.dialects.expressions import GENERATORS
from tests.sample import FULL, amount

NOW = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
OTHERS: tuple[list[dict[str, Any]], ...] = ([], [{"interval": "60s"}], [{"cron": "0 9 * * *"}])
ZONES = ("", "UTC", "Europe/Chisinau")
RANDOM = amount("ORDINAUT_RANDOM_REPAIRS", 30, 300)  # texts of each dialect


def violations(document: dict[str, Any]) -> list[Violation]:
    """The violations of a schedule in its JSON form."""
    return list(validate(ParseDict(document, Schedule()), NOW, stored=False).violations)


def patched(document: dict[str, Any], operations: Any) -> dict[str, Any]:
    """The document after a patch."""
    patch = jsonpatch.JsonPatch([MessageToDict(operation) for operation in operations])
    result: dict[str, Any] = patch.apply(document)
    return result


def check(document: dict[str, Any]) -> int:
    """Applies every repair and choice of the first trigger; how many there are."""
    before = violations(document)
    fields = {violation.field for violation in before}
    applied = 0
    for repaired in before:
        if repaired.field == "time_zone":
            continue
        patches = [repaired.fix.operations] if repaired.HasField("fix") else []
        for question in repaired.questions:
            assert not patches
            assert len(question.choices) > 1
            assert not question.default_choice or question.default_choice in {choice.id for choice in question.choices}
            patches += [choice.patch for choice in question.choices]
        for operations in patches:
            after = patched(document, operations)
            assert after != document
            remaining = violations(after)
            allowed = fields - {repaired.field}
            assert {violation.field for violation in remaining} <= allowed, (document, after, remaining)
            assert not any(problem.HasField("fix") for problem in remaining if problem.field.startswith("triggers"))
            applied += 1
    return applied


@pytest.mark.parametrize("field", ["cron", "rrule", "once"])
@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("zone", ZONES)
def test_known_texts(field: str, others: list[dict[str, Any]], zone: str) -> None:
    """In every field, with and without a zone and other triggers."""
    texts = [*CERTAIN, *ASKED, *REFUSED, "CRON_TZ=Asia/Tokyo 0 9 * * *", "Mon *-*-* 09:00 UTC", "TZ=UTC @daily"]
    step = 1 if FULL or (zone and not others) else 6
    applied = sum(
        check({"triggers": [{field: text, "params": {"a": 1}}, *others], **({"time_zone": zone} if zone else {})})
        for text in texts[::step]
    )
    assert applied > len(CERTAIN) / step * 0.8


@pytest.mark.parametrize("field", ["cron", "rrule", "once"])
def test_known_texts_in_a_trigger_with_a_zone(field: str) -> None:
    """An interval has no zone."""
    for text in [*CERTAIN, *ASKED, *REFUSED, "CRON_TZ=Asia/Tokyo 0 9 * * *"]:
        check({"triggers": [{field: text, "time_zone": "Asia/Kathmandu"}]})


@pytest.mark.parametrize("dialect", GENERATORS)
def test_random_texts(dialect: str) -> None:
    """Random expressions of each dialect."""
    random = Random(f"20261130 {dialect}")
    texts = [GENERATORS[dialect](random) for _ in range(RANDOM)]
    assert (
        sum(check({"triggers": [{"cron": text}], "time_zone": random.choice(ZONES[1:])}) for text in texts) > RANDOM / 2
    )


def test_the_zone_of_the_text_becomes_that_of_the_trigger() -> None:
    """The rest of the schedule keeps its zone; if the trigger has another one, the caller is asked."""
    text = "CRON_TZ=Asia/Tokyo 0 9 * * *"
    for fields in ({}, {"time_zone": "Europe/Chisinau"}):
        document = {"triggers": [{"cron": text}], **fields}
        [violation] = [violation for violation in violations(document) if violation.HasField("fix")]
        assert patched(document, violation.fix.operations) == {
            "triggers": [{"cron": "0 9 * * *", "time_zone": "Asia/Tokyo"}],
            **fields,
        }
    [violation] = violations({"triggers": [{"cron": text, "time_zone": "Europe/Chisinau"}]})
    assert [choice.id for choice in violation.questions[0].choices] == ["crontab-own-zone", "crontab-its-zone"]


def test_a_missing_zone_is_reported_with_the_translation() -> None:
    """All problems at once."""
    assert [violation.field for violation in violations({"triggers": [{"once": "every day at 9"}]})] == [
        "triggers[0].once",
        "time_zone",
    ]


def test_params_of_the_trigger_stay() -> None:
    """The command joins the params that are there."""
    document = {"triggers": [{"cron": "0 3 * * * root /bin/x", "params": {"a": 1}}], "time_zone": "UTC"}
    [violation] = violations(document)
    after = patched(document, violation.questions[0].choices[1].patch)
    assert after["triggers"] == [{"cron": "0 3 * * *", "params": {"a": 1, "command": "/bin/x"}}]


@pytest.mark.parametrize("text", ["0 0 12 25 12 ? *", "@every 1h", "every day at 9", "0 9 * * * *", "0 9 L * *"])
@pytest.mark.parametrize(
    "fields",
    [
        {"end_time": "2026-05-03T00:00:00Z"},
        {"start_time": "2026-06-01T10:00:00Z", "end_time": "2026-06-01T11:30:00Z"},
        {"exclusions": [{"rrule": "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY"}]},
        {"exclusions": [{"date": "2026-02-30"}]},
        {"max_occurrences": "3"},
    ],
)
def test_the_window_of_the_schedule_is_respected(text: str, fields: dict[str, Any]) -> None:
    """A translation that has no time in it is not offered."""
    for others in OTHERS:
        check({"triggers": [{"cron": text}, *others], "time_zone": "UTC", **fields})
