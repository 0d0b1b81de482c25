"""Errors are printed as text or JSON."""

import json

import pytest

from ordinaut.client.retry import RetryPolicy
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


def test_text_lists_each_violation_with_its_fix(cli: Cli, gateway: Gateway) -> None:
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


def test_json_errors_are_one_document(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["GetTask"] = WRONG
    error = json.loads(cli("--json", "task", "get", "a").err)["error"]
    assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert error["violations"][1] == {
        "field": "task.schedule.triggers[0].cron",
        "message": "minute 61 is over 59",
        "reason": "INVALID_CRON",
    }
    assert error["fixes"][0]["operations"][0]["value"] == "mail.send"


def test_wrong_usage_has_another_exit_code(cli: Cli, gateway: Gateway) -> None:
    assert cli("task", "no-such-verb").exit_code == 2
    assert cli("run", "list", "--state", "dreaming").exit_code == 2
    assert gateway.asked == []


@pytest.fixture
def single_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CLI does not wait for the gateway to come back; tests/unit/cli/test_client_retries.py covers that."""
    monkeypatch.setattr("ordinaut.cli.session.RETRY_POLICY", RetryPolicy(give_up_after=0))


@pytest.mark.usefixtures("single_attempts")
def test_a_missing_component_is_named(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["GetTask"] = UnavailableError(ErrorReason.STORE_UNAVAILABLE, "PostgreSQL cannot be reached")
    assert cli("task", "get", "a").err == "UNAVAILABLE STORE_UNAVAILABLE: PostgreSQL cannot be reached\n"


@pytest.mark.usefixtures("single_attempts")
def test_an_unreachable_gateway_prints_a_hint(cli: Cli) -> None:
    result = cli("--address", "127.0.0.1:1", "whoami")
    assert result.exit_code == 1
    assert "ORDINAUT_ADDRESS" in result.err


def test_database_commands_require_a_url(cli: Cli, gateway: Gateway) -> None:
    assert cli("migrate").exit_code == 2
    assert cli("project", "operator").exit_code == 2
