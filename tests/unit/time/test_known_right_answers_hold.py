"""The cases with known right answers: the RFC's own table, Vixie cron, the clock changes of real places."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION, zone
from scheduler.triggers.problem import ScheduleError
from scheduler.validation.schedule import validate
from tests.unit.time.writing import accepted, schedule_of, take

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "time_cases.json").read_text(encoding="utf-8")
)

NOT_YET: dict[str, str] = {}
"""Cases that do not hold yet, with the reason; each of them is asserted to fail still."""


def _case_names(*, fails: bool) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in CASES if (case["name"] in NOT_YET) == fails]


def _assert_holds(case: dict[str, Any]) -> None:
    after = datetime.fromisoformat(case["after"])
    trigger = {case["kind"]: case["expr"]}
    if "expect_error" in case or case.get("never"):
        assert validate(schedule_of(trigger, time_zone=case["timezone"]), after, stored=True).violations
        return
    plan = accepted(trigger, time_zone=case["timezone"], now=after)
    expected = [datetime.fromisoformat(time) for time in case["expect"]]
    number = case.get("total", len(expected)) + 1
    found = [instant.time for instant in take(plan, after.astimezone(UTC), number)]
    assert found[: len(expected)] == expected
    shown = [time.astimezone(zone(case["timezone"])).isoformat() for time in found[: len(expected)]]
    assert shown == case["expect"]
    if case.get("then_ends"):
        assert len(found) == len(expected)
    if "total" in case:
        assert len(found) == case["total"]
        assert found[-1] == datetime.fromisoformat(case["last"])


@pytest.mark.parametrize("case", _case_names(fails=False))
def test_case(case: dict[str, Any]) -> None:
    """The next times are the right ones, and the rule ends when it should."""
    _assert_holds(case)


def test_the_list_of_open_cases_is_true() -> None:
    """A case that holds by now must leave the list."""
    for case in CASES:
        if case["name"] in NOT_YET:
            with pytest.raises((AssertionError, ScheduleError)):
                _assert_holds(case)


def test_the_cases_are_read_with_zone_data_new_enough() -> None:
    """Some cases need a release of the zone data: an older package would explain a failure."""
    needed = max(case.get("tzdata_min", "") for case in CASES)
    assert needed <= ZONE_DATA_VERSION
