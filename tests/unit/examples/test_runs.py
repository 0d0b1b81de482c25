"""Queries about runs."""

from google.protobuf.json_format import ParseDict

from examples.morning_briefing import runs
from ordinaut.v1.run_pb2 import Run

RUN = ParseDict(
    {
        "scheduled_time": "2026-11-24T07:00:00Z",
        "start_time": "2026-11-24T07:00:00.012Z",
        "steps": [
            {
                "path": "agenda",
                "tool": "calendar.list_events",
                "state": "SUCCEEDED",
                "idempotency_key": "0199/1/rrule:20261124T090000/agenda",
                "start_time": "2026-11-24T07:00:00.020Z",
                "end_time": "2026-11-24T07:00:00.050Z",
            }
        ],
    },
    Run(),
)


def test_the_lag_starts_at_the_scheduled_time() -> None:
    assert round(runs.lag_ms(RUN)) == 12


def test_the_root_is_the_common_prefix_of_the_keys() -> None:
    assert runs.root(RUN) == "0199/1/rrule:20261124T090000/"


def test_a_step_is_described_in_one_line() -> None:
    assert runs.described(RUN.steps[0]) == "agenda: calendar.list_events succeeded (30 ms)"
