"""An error is printed so that a person, or a program, can act on it."""

import json

from ordinaut.errors import InvalidArgumentError, Repair, UnavailableError, Violation
from ordinaut.v1.error_pb2 import ErrorReason
from tests.unit.cli.conftest import Cli, Gateway

WRONG = InvalidArgumentError.of(
    [
        Violation(
            "task.pipeline.steps[0].uses",
            "there is no tool mail.sned",
            ErrorReason.UNKNOWN_TOOL,
            Repair(
                "Use mail.send.",
                [{"op": "replace", "path": "/task/pipeline/steps/0/uses", "value": "mail.send"}],
            ),
        ),
        Violation("task.schedule.triggers[0].cron", "minute 61 is over 59", ErrorReason.INVALID_CRON),
    ]
)


def test_a_person_sees_each_problem_with_its_place_and_its_fix(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["GetTask"] = WRONG
    result = cli("task", "get", "a")
    assert (result.exit_code, result.out) == (1, "")
    head, *rest = result.err.splitlines()
    assert head == "INVALID_ARGUMENT INVALID_REQUEST: 2 problems"
    assert rest == [
        "  task.pipeline.steps[0].uses: there is no tool mail.sned",
        '    fix: Use mail.send. (replace /task/pipeline/steps/0/uses = "mail.send")',
        "  task.schedule.triggers[0].cron: minute 61 is over 59",
    ]


def test_a_program_gets_one_json_document(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["GetTask"] = WRONG
    error = json.loads(cli("--json", "task", "get", "a").err)["error"]
    assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert error["violations"][1] == {
        "field": "task.schedule.triggers[0].cron",
        "message": "minute 61 is over 59",
        "reason": "INVALID_CRON",
    }
    assert error["fixes"][0]["operations"][0]["value"] == "mail.send"


def test_wrong_usage_is_told_from_an_error(cli: Cli, gateway: Gateway) -> None:
    assert cli("task", "no-such-verb").exit_code == 2
    assert cli("run", "list", "--state", "dreaming").exit_code == 2
    assert gateway.asked == []


def test_a_part_that_is_away_is_named(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["GetTask"] = UnavailableError(ErrorReason.STORE_UNAVAILABLE, "PostgreSQL cannot be reached")
    assert cli("task", "get", "a").err == "UNAVAILABLE STORE_UNAVAILABLE: PostgreSQL cannot be reached\n"


def test_a_gateway_that_is_not_there_gets_a_hint(cli: Cli) -> None:
    result = cli("--address", "127.0.0.1:1", "whoami")
    assert result.exit_code == 1
    assert "ORDINAUT_ADDRESS" in result.err


def test_the_database_verbs_need_a_database(cli: Cli, gateway: Gateway) -> None:
    assert cli("migrate").exit_code == 2
    assert cli("project", "create", "x").exit_code == 2
