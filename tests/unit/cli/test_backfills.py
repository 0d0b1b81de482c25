"""`ordinaut task backfill`: requests, dry runs and progress."""

import json
from datetime import UTC, datetime

import pytest

from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.task_service_pb2 import ListBackfillsResponse
from tests.unit.cli.conftest import Cli, Gateway

NAME = "tasks/report/backfills/march"


def backfill(state: str = "RUNNING", **fields: int) -> Backfill:
    return Backfill(name=NAME, state=Backfill.State.Value(state), **fields)  # type: ignore[arg-type]


def test_options_become_the_request(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["CreateBackfill"] = backfill(total=31)
    said = cli(
        "task", "backfill", "start", "report", "--after", "2026-03-01T00:00:00Z", "--until", "2026-04-01T00:00:00Z",
        "--id", "march", "--newest-first", "--reprocess", "failed", "--parallelism", "2", "--param", "full=true",
    )  # fmt: skip
    assert said.out == f"{NAME} RUNNING 0/31\n"
    [request] = gateway.requests("CreateBackfill")
    asked = request.backfill
    assert (request.parent, request.backfill_id, request.validate_only) == ("tasks/report", "march", False)
    assert (asked.order, asked.reprocess, asked.parallelism, asked.priority) == (
        Backfill.NEWEST_FIRST, Backfill.FAILED, 2, 9,
    )  # fmt: skip
    assert asked.after_time.ToDatetime(UTC) == datetime(2026, 3, 1, tzinfo=UTC)
    assert dict(asked.params) == {"full": True}


def test_dry_run_prints_counts_and_first_occurrences(cli: Cli, gateway: Gateway) -> None:
    told = backfill("STATE_UNSPECIFIED", total=9, enqueued=5, skipped=4)
    told.first_due_times.add().FromDatetime(datetime(2026, 3, 1, tzinfo=UTC))
    gateway.answers["CreateBackfill"] = told
    lines = cli("task", "backfill", "start", "report", "--after", "2026-03-01T00:00:00Z", "--dry-run").out.splitlines()
    assert gateway.requests("CreateBackfill")[0].validate_only
    assert lines[0] == "5 of 9 would run, 4 would not"
    assert lines[1].startswith("  2026-0")
    assert lines[2] == "  and 4 more"


def test_watch_prints_changes_until_all_runs_have_ended(
    cli: Cli, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordinaut.cli.commands.tasks.backfill.POLL_SECONDS", 0.01)
    gateway.queue["GetBackfill"] = [
        backfill(total=3, enqueued=2),
        backfill(total=3, enqueued=2),
        backfill("CANCELLED", total=3, enqueued=2, succeeded=1),
        backfill("CANCELLED", total=3, enqueued=2, succeeded=1, failed=1),
    ]
    followed = cli("task", "backfill", "watch", NAME)
    assert followed.exit_code == 1
    assert followed.out.splitlines() == [
        f"{NAME} RUNNING 0/3",
        f"{NAME} CANCELLED 1/3, 1 succeeded",
        f"{NAME} CANCELLED 2/3, 1 succeeded, 1 failed",
    ]


def test_watch_exits_with_0_if_all_runs_succeed(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["CreateBackfill"] = backfill(total=3)
    gateway.answers["GetBackfill"] = backfill("COMPLETED", total=3, enqueued=2, succeeded=2, skipped=1)
    done = cli("task", "backfill", "start", "report", "--after", "2026-03-01T00:00:00Z", "--watch", "--json")
    assert done.exit_code == 0
    assert json.loads(done.out)["state"] == "COMPLETED"


def test_list_prints_a_table_and_cancel_can_include_runs(cli: Cli, gateway: Gateway) -> None:
    found = backfill(total=4, enqueued=3, succeeded=2, failed=1)
    gateway.answers = {"ListBackfills": ListBackfillsResponse(backfills=[found]), "CancelBackfill": found}
    assert cli("task", "backfill", "list", "report").out.splitlines()[1].split()[:2] == [NAME, "RUNNING"]
    assert cli("task", "backfill", "cancel", "report/backfills/march", "--runs").exit_code == 0
    [request] = gateway.requests("CancelBackfill")
    assert (request.name, request.cancel_runs) == (NAME, True)
