"""`ordinaut task simulate`: the request, and the table with totals."""

import json
from pathlib import Path

from google.protobuf import json_format

from ordinaut.v1.task_service_pb2 import SimulateTaskResponse
from tests.unit.cli.conftest import Cli, Gateway

PART = {
    "occurrences": [
        {
            "id": "20260301T080000Z", "outcome": "ENQUEUED", "count": 1, "due_time": "2026-03-01T08:00:00Z",
            "run": {"state": "FAILED", "start_time": "2026-03-01T08:00:01Z", "end_time": "2026-03-01T08:00:31Z"},
        },
        {
            "id": "20260301T090000Z", "outcome": "COALESCED", "reason": "a later one had passed as well", "count": 3,
            "due_time": "2026-03-01T09:00:00Z", "last_due_time": "2026-03-01T11:00:00Z",
        },
    ]
}  # fmt: skip
SUMMARY = {
    "summary": {
        "outcomes": {"ENQUEUED": 1, "COALESCED": 3}, "runs": {"FAILED": 1}, "state": "PAUSED",
        "state_reason": "a run failed", "truncated": True, "end_time": "2026-03-02T00:00:00Z",
    }
}  # fmt: skip
ANSWERS = [json_format.ParseDict(part, SimulateTaskResponse()) for part in (PART, SUMMARY)]


def test_all_options_become_the_request(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"SimulateTask": ANSWERS}
    window = ("--from", "2026-03-01T00:00:00Z", "--to", "2026-03-02T00:00:00Z")
    runs = ("--duration", "30s", "--duration", "5m", "--fail-every", "3")
    outage = (
        "--outage",
        "2026-03-01T08:30:00Z/2026-03-01T11:30:00Z",
        "--pause",
        "2026-03-01T12:00:00Z/2026-03-01T13:00:00Z",
    )
    said = cli("task", "simulate", "mirror", *window, *runs, *outage).out
    [request] = gateway.requests("SimulateTask")
    assert request.name == "tasks/mirror"
    assert [duration.seconds for duration in request.run_durations] == [30, 300]
    assert request.fail_every == 3
    assert request.end_time.seconds - request.start_time.seconds == 86_400
    assert request.outages[0].end_time.seconds - request.outages[0].start_time.seconds == 3 * 3600
    assert request.pauses[0].end_time.seconds - request.pauses[0].start_time.seconds == 3600
    lines = said.splitlines()
    assert "FAILED" in lines[1]
    assert "a later one had passed as well" in lines[2]
    assert lines[3:5] == ["3 COALESCED, 1 ENQUEUED; runs: 1 FAILED", "the task would be PAUSED: a run failed"]


def test_a_task_from_a_file_is_simulated_and_rows_are_limited(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    gateway.answers = {"SimulateTask": ANSWERS}
    path = tmp_path / "task.yaml"
    path.write_text("schedule: {triggers: [{cron: '@daily'}], time_zone: UTC}\n")
    said = cli("task", "simulate", "-f", str(path), "--limit", "1").out
    assert gateway.requests("SimulateTask")[0].task.schedule.triggers[0].cron == "@daily"
    assert "… and 3 more" in said
    assert "COALESCED " not in said


def test_json_prints_each_response_on_a_line(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"SimulateTask": ANSWERS}
    parts = [json.loads(line) for line in cli("--json", "task", "simulate", "mirror").out.splitlines()]
    assert parts[0]["occurrences"][1]["count"] == 3
    assert parts[1]["summary"]["runs"] == {"FAILED": 1}


def test_ambiguous_options_are_wrong_usage(cli: Cli) -> None:
    assert cli("task", "simulate").exit_code == 2
    assert cli("task", "simulate", "mirror", "-f", "x.yaml").exit_code == 2
    assert cli("task", "simulate", "mirror", "--outage", "yesterday").exit_code == 2
