"""Which instants that nothing fired still run, by the catch-up policy and their lateness."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from scheduler.firing.catch_up_policy import CatchUpPolicy
from scheduler.firing.missed_instants import (
    MissedInstants,
    UnskippedInstants,
    find_missed,
    find_unsettled,
    start_with_jitter,
)
from scheduler.schedules.schedule import CompiledSchedule

TASK = UUID(int=7)
SECOND = timedelta(seconds=1)
DAILY = {"time_zone": "Europe/Chisinau", "triggers": [{"id": "t0", "cron": "0 8 * * *"}]}
EIGHT = datetime.fromisoformat("2026-05-01T08:00:00+03:00")
EVERY_SECOND = {
    "start_time": "2026-05-01T05:00:00Z",
    "triggers": [{"id": "t0", "interval": "1s"}],
}


def missed(schedule: dict[str, Any], late: timedelta, **catch_up: Any) -> MissedInstants:
    """What is decided when the clock shows `late` after eight, and everything up to seven is settled."""
    compiled = CompiledSchedule.compile(schedule)
    policy = CatchUpPolicy.of({"catch_up": catch_up})
    start = start_with_jitter(compiled, TASK)
    after = EIGHT - timedelta(hours=1)
    return find_missed(UnskippedInstants(compiled, ()), policy, after, None, now=EIGHT + late, start_of=start)


def outcomes(found: MissedInstants) -> list[tuple[str, int]]:
    """Outcome and number."""
    return [(outcome, len(instants)) for outcome, _, instants in found.groups]


@pytest.mark.parametrize(
    ("late", "catch_up", "runs"),
    [
        (timedelta(hours=1, minutes=35), {}, True),
        (timedelta(hours=23, minutes=59), {}, True),
        (timedelta(hours=1, minutes=35), {"window": "3600s"}, False),
        (5 * SECOND, {"window": "1s"}, True),
        (6 * SECOND, {"window": "1s"}, False),
        (2.6 * SECOND, {"policy": "NONE"}, True),
        (5 * SECOND, {"policy": "NONE"}, True),
        (5.1 * SECOND, {"policy": "NONE"}, False),
    ],
)
def test_lateness_decides(late: timedelta, catch_up: dict[str, Any], runs: bool) -> None:
    """LATEST has a window of a day; up to five seconds late is on time under every policy."""
    found = missed(DAILY, late, **catch_up)
    assert outcomes(found) == ([] if runs else [("MISSED", 1)])
    assert (found.to_run is not None) is runs


def test_the_window_of_a_day_ends() -> None:
    """With a weekly schedule, so that no later occurrence replaces it."""
    weekly = {**DAILY, "triggers": [{"id": "t0", "cron": "0 8 * * fri"}]}
    assert missed(weekly, timedelta(hours=24)).to_run is not None
    assert outcomes(missed(weekly, timedelta(hours=24) + SECOND)) == [("MISSED", 1)]


def test_a_single_time_and_all_are_never_too_late() -> None:
    """Without a window of their own."""
    once = {"triggers": [{"id": "t0", "once": "2026-05-01T05:00:00Z"}]}
    year = timedelta(days=365)
    assert missed(once, year).to_run is not None
    assert missed(DAILY, timedelta(hours=23), policy="ALL").to_run is not None


def test_none_drops_only_what_is_more_than_five_seconds_late() -> None:
    """A schedule of every second that lags ten seconds continues with the instant that is five seconds late."""
    found = missed(EVERY_SECOND, 10 * SECOND, policy="NONE")
    assert outcomes(found) == [("MISSED", 5)]
    assert found.to_run is not None
    assert found.to_run.time == EIGHT + 5 * SECOND


def test_jitter_is_not_lateness() -> None:
    """An occurrence whose jitter is longer than the window runs."""
    jittered = {**DAILY, "jitter": "3600s"}
    plan = CompiledSchedule.compile(jittered)
    instant = plan.next(EIGHT - SECOND)[0]
    assert instant is not None
    delay = start_with_jitter(plan, TASK)(instant) - EIGHT
    assert delay > 60 * SECOND
    assert missed(jittered, delay + 30 * SECOND, window="60s").to_run is not None
    assert missed(jittered, delay + 61 * SECOND, window="60s").to_run is None


@pytest.mark.parametrize(
    ("obstacle", "outcome"), [("paused", "PAUSED"), ("deleted", "MISSED"), ("completed", "MISSED")]
)
def test_nothing_is_replaced_by_an_instant_that_does_not_run(obstacle: str, outcome: str) -> None:
    """A pause while the schedule lags: no instant is COALESCED into a later one."""
    plan = CompiledSchedule.compile(EVERY_SECOND)
    found = find_unsettled(
        UnskippedInstants(plan, ()), CatchUpPolicy.of({}), EIGHT - SECOND, EIGHT + 2 * SECOND,
        now=EIGHT + 3 * SECOND, paused=False, obstacle=obstacle,
    )  # fmt: skip
    assert outcomes(found) == [(outcome, 3)]
    assert found.complete
    assert found.to_run is None
