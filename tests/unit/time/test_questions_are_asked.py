"""Where a text has several meanings, validation asks: the choices carry patches, and there is no fix."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.problem import Choice, Edit, Question, ScheduleError
from scheduler.validation.findings import Findings

_QUESTION = Question(
    "dialect",
    "Which dialect is it?",
    [
        Choice("crontab", "every hour", [Edit("0 * * * *")]),
        Choice("quartz", "every day", [Edit(None), Edit("FREQ=DAILY", "rrule"), Edit("Asia/Tokyo", "/time_zone")]),
    ],
    default="crontab",
)


def _patches(error: ScheduleError) -> list[list[dict[str, Any]]]:
    findings = Findings()
    findings.add_error("triggers[2].cron", error)
    [violation] = findings.violations
    assert not violation.HasField("fix")
    return [[MessageToDict(step) for step in choice.patch] for choice in violation.questions[0].choices]


def test_the_patches_of_choices_start_at_the_schedule() -> None:
    """The field itself, a member beside it, and a value of the whole schedule."""
    error = ScheduleError(ErrorReason.INVALID_CRON, "two dialects are possible", question=_QUESTION)
    assert _patches(error) == [
        [{"op": "add", "path": "/triggers/2/cron", "value": "0 * * * *"}],
        [
            {"op": "remove", "path": "/triggers/2/cron"},
            {"op": "add", "path": "/triggers/2/rrule", "value": "FREQ=DAILY"},
            {"op": "add", "path": "/time_zone", "value": "Asia/Tokyo"},
        ],
    ]


def test_a_question_is_identified_by_its_place_and_named_in_the_message() -> None:
    """A caller that reads only the text learns the choices as well."""
    findings = Findings()
    findings.add_question("triggers[2].cron", ErrorReason.INVALID_CRON, "two dialects are possible", _QUESTION)
    [violation] = findings.violations
    assert violation.questions[0].id == "triggers[2].cron:dialect"
    assert violation.questions[0].default_choice == "crontab"
    assert violation.message == "two dialects are possible. Which dialect is it? every hour; every day"


def test_a_repair_may_have_several_edits() -> None:
    """A cron expression that becomes a rule changes two members of the trigger."""
    findings = Findings()
    edits = [Edit(None), Edit("FREQ=DAILY", "rrule")]
    findings.add_error(
        "triggers[0].cron", ScheduleError(ErrorReason.INVALID_CRON, "L is not cron", repair=edits, explanation="why")
    )
    [violation] = findings.violations
    assert violation.fix.explanation == "why"
    assert [MessageToDict(step)["path"] for step in violation.fix.operations] == [
        "/triggers/0/cron",
        "/triggers/0/rrule",
    ]
