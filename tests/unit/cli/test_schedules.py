"""`ordinaut schedule` and `ordinaut task occurrences`."""

import json
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.schedule_pb2 import Upcoming
from ordinaut.v1.task_service_pb2 import ExplainScheduleResponse, ListOccurrencesResponse, PreviewScheduleResponse
from tests.unit.cli.conftest import Cli, Gateway

COMING = Upcoming(
    id="20260502T043000Z", local_time="2026-05-02T07:30:00+03:00", jitter=Duration(seconds=60), note="odd"
)


def test_a_preview_lists_the_next_times(cli: Cli, gateway: Gateway) -> None:
    """Triggers and zone come from options; output is a table with times, jitter and notes, and warnings."""
    gateway.answers["PreviewSchedule"] = PreviewScheduleResponse(
        occurrences=[COMING], explanation="Runs every day.", warnings=["on 2027-03-28 …"]
    )
    said = cli(
        "schedule", "preview", "--cron", "30 7 * * *", "--every", "90s", "--zone", "Europe/Chisinau", "--count", "3",
        "--after", "2026-05-01T00:00:00Z",
    )  # fmt: skip
    assert said.out.startswith("Runs every day.\n")
    assert all(text in said.out for text in ("20260502T043000Z", "2026-05-02T07:30:00+03:00", "0:01:00", "odd"))
    assert "warning: on 2027-03-28" in said.err
    [request] = gateway.requests("PreviewSchedule")
    assert [trigger.cron for trigger in request.schedule.triggers] == ["30 7 * * *", ""]
    assert request.schedule.triggers[1].interval.seconds == 90
    assert (request.schedule.time_zone, request.count) == ("Europe/Chisinau", 3)
    assert request.after_time.ToJsonString() == "2026-05-01T00:00:00Z"


def test_an_explanation_in_another_language(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    """The schedule comes from a task file; options override it."""
    file = tmp_path / "task.yaml"
    file.write_text("name: tasks/a\nschedule:\n  triggers: [{cron: '@daily'}]\n  time_zone: UTC\n")
    gateway.answers["ExplainSchedule"] = ExplainScheduleResponse(explanation="Rulează.", runs_per_year=365)
    said = cli("schedule", "explain", "-f", str(file), "--zone", "Europe/Bucharest", "--language", "ro")
    assert said.out == "Rulează.\n  365 runs in the next year\n"
    [request] = gateway.requests("ExplainSchedule")
    assert (request.language, request.schedule.time_zone) == ("ro", "Europe/Bucharest")
    assert request.schedule.triggers[0].cron == "@daily"


def test_responses_as_json(cli: Cli, gateway: Gateway) -> None:
    """The complete response is printed."""
    gateway.answers["ExplainSchedule"] = ExplainScheduleResponse(explanation="Runs.")
    assert json.loads(cli("--json", "schedule", "explain", "--every", "1h").out) == {"explanation": "Runs."}
    gateway.answers["PreviewSchedule"] = PreviewScheduleResponse(ends=True)
    assert json.loads(cli("--json", "schedule", "preview", "--once", "2026-07-01T12:00:00Z").out) == {"ends": True}


def test_malformed_options_are_wrong_usage(cli: Cli, gateway: Gateway) -> None:
    """No request is sent."""
    said = cli("schedule", "preview", "--every", "soon")
    assert said.exit_code == 2
    assert "schedule.triggers[0].interval" in said.err
    assert not gateway.asked


def test_occurrences_of_a_task(cli: Cli, gateway: Gateway) -> None:
    """Merged entries show their time range; options become a filter."""
    missed = Occurrence(outcome=Occurrence.MISSED, count=9, reason="too late")
    missed.due_time.FromJsonString("2026-05-01T10:00:00Z")
    missed.last_due_time.FromJsonString("2026-05-01T11:20:00Z")
    gateway.answers["ListOccurrences"] = ListOccurrencesResponse(occurrences=[missed])
    out = cli("task", "occurrences", "brief", "--outcome", "missed", "--since", "2026-05-01T00:00:00Z").out
    assert all(text in out for text in ("MISSED", "9", "too late", "20:00"))
    [request] = gateway.requests("ListOccurrences")
    assert request.parent == "tasks/brief"
    assert request.filter == 'outcome = MISSED AND time >= "2026-05-01T00:00:00Z"'
