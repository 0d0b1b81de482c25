"""Simulated ledgers as one would write them by hand; that they are what happens is tested on a real database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from scheduler.firing.catch_up_policy import CatchUpPolicy
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.simulation.entry import Entry
from scheduler.simulation.scenario import Rules, Scenario, Span, joined
from scheduler.simulation.simulation import Simulation

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(minute: float) -> datetime:
    return NOON + minute * MINUTE


def scenario(minutes: float, *, rules: Rules | None = None, catch_up: Any = None, **more: Any) -> Scenario:
    """A task that is due each minute, and runs for ten seconds."""
    document = {
        "triggers": [{"id": "t0", "interval": "60s"}],
        "start_time": NOON.isoformat(),
        "catch_up": catch_up or {},
        **more.pop("schedule", {}),
    }
    return Scenario(
        schedule=CompiledSchedule.compile(document),
        task=UUID(int=1),
        window=Span(NOON, at(minutes)),
        catch_up=CatchUpPolicy.of(document),
        rules=rules or Rules(),
        durations=more.pop("durations", [timedelta(seconds=10)]),
        **more,
    )


def ledger(lived: Scenario) -> list[tuple[float, str, int]]:
    """Minutes since noon, outcomes and counts."""
    found = list(Simulation(lived).entries())
    return [((entry.first.time - NOON) / MINUTE, entry.outcome, entry.count) for entry in found]


def enqueued(minutes: Sequence[float]) -> list[tuple[float, str, int]]:
    return [(minute, "ENQUEUED", 1) for minute in minutes]


def test_the_window_begins_with_and_ends_before_its_edges() -> None:
    assert ledger(scenario(3)) == enqueued([0, 1, 2])


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ({}, [(2, "COALESCED", 3), *enqueued([5, 6])]),
        ({"policy": "NONE"}, [(2, "MISSED", 4), *enqueued([6])]),
        ({"policy": "ALL", "max": 2}, [(2, "MISSED", 2), *enqueued([4]), (5, "BUFFERED", 1), *enqueued([6])]),
    ],
)
def test_an_outage_is_caught_up_by_the_policy(catch_up: Any, expected: list[Any]) -> None:
    lived = scenario(7, catch_up=catch_up, outages=[Span(at(1.5), at(5.5))])
    assert ledger(lived) == [*enqueued([0, 1]), *expected]


def test_an_instant_in_a_short_outage_is_late_and_not_missed() -> None:
    second = timedelta(seconds=1)
    lived = scenario(2, catch_up={"policy": "NONE"}, outages=[Span(at(1) - second, at(1) + 5 * second)])
    _, late = Simulation(lived).entries()
    assert (late.outcome, late.time) == ("ENQUEUED", at(1) + 5 * second)
    longer = scenario(2, catch_up={"policy": "NONE"}, outages=[Span(at(1), at(1) + 6 * second)])
    assert ledger(longer)[1:] == [(1, "MISSED", 1)]


def test_runs_take_their_durations_in_turn_and_exclude_each_other() -> None:
    lived = scenario(6, durations=[90 * timedelta(seconds=1), timedelta(seconds=60)])
    assert [outcome for _, outcome, _ in ledger(lived)] == [
        "ENQUEUED", "SKIPPED_OVERLAP", "ENQUEUED", "ENQUEUED", "SKIPPED_OVERLAP", "ENQUEUED",
    ]  # fmt: skip
    beside = scenario(6, durations=[2 * MINUTE], rules=Rules("ALLOW"))
    assert ledger(beside) == enqueued(range(6))


def lived(*entries: Entry) -> list[tuple[str, float | None, float, str]]:
    """Outcomes, and when in minutes the runs begin and end."""
    return [
        (entry.outcome, (run.start - NOON) / MINUTE if run.start else None, (run.end - NOON) / MINUTE, run.state)
        for entry in entries
        if (run := entry.run) is not None
    ]


def test_buffered_runs_start_in_fifo_order() -> None:
    long = {"durations": [2 * MINUTE]}
    one = [outcome for _, outcome, _ in ledger(scenario(5, rules=Rules("BUFFER_ONE"), **long))]
    assert one == ["ENQUEUED", "BUFFERED", "BUFFERED", "SKIPPED_OVERLAP", "BUFFERED"]
    every = Simulation(scenario(3, rules=Rules("BUFFER_ALL", max_buffer=9), **long)).entries()
    assert lived(*every) == [
        ("ENQUEUED", 0, 2, "SUCCEEDED"), ("BUFFERED", 2, 4, "SUCCEEDED"), ("BUFFERED", 4, 6, "SUCCEEDED"),
    ]  # fmt: skip


def test_a_run_buffered_past_its_deadline_is_missed() -> None:
    rules = Rules("BUFFER_ALL", max_buffer=9, start_deadline=MINUTE)
    assert ledger(scenario(3, rules=rules, durations=[2.5 * MINUTE])) == [
        *enqueued([0]), (1, "MISSED", 1), (2, "BUFFERED", 1),
    ]  # fmt: skip


def test_the_newest_cancels_the_others() -> None:
    found = Simulation(scenario(3, rules=Rules("CANCEL_OTHER"), durations=[5 * MINUTE])).entries()
    assert lived(*found) == [
        ("ENQUEUED", 0, 1, "CANCELLED"), ("BUFFERED", 1, 2, "CANCELLED"), ("BUFFERED", 2, 7, "SUCCEEDED"),
    ]  # fmt: skip


def test_a_run_that_takes_too_long_fails() -> None:
    [entry] = Simulation(scenario(1, durations=[9 * MINUTE], rules=Rules(run_timeout=2 * MINUTE))).entries()
    assert entry.run is not None
    assert (entry.run.end, entry.run.state) == (at(2), "FAILED")


def test_failures_in_a_row_pause_the_task_for_good() -> None:
    simulation = Simulation(scenario(6, fail_every=1, rules=Rules(pause_after_failures=2)))
    assert [(entry.outcome, entry.count) for entry in simulation.entries()] == [
        ("ENQUEUED", 1), ("ENQUEUED", 1), ("PAUSED", 4),
    ]  # fmt: skip
    assert (simulation.paused, simulation.reason) == (True, "2 runs in a row failed")


def test_a_user_pauses_and_resumes() -> None:
    assert ledger(scenario(6, pauses=[Span(at(1.5), at(3.5))])) == [
        *enqueued([0, 1]), (2, "PAUSED", 2), *enqueued([4, 5]),
    ]  # fmt: skip


def test_instants_unsettled_at_a_pause_are_recorded() -> None:
    outage = Span(at(1.5), at(5.5))
    resumed = scenario(6, outages=[outage], pauses=[Span(at(3.5), at(4.5))])
    assert ledger(resumed) == [
        *enqueued([0, 1]), (2, "COALESCED", 1), (3, "ENQUEUED", 1), (4, "PAUSED", 1), (5, "SKIPPED_OVERLAP", 1),
    ]  # fmt: skip
    found = list(Simulation(scenario(7, outages=[outage], pauses=[Span(at(3.5), at(6.5))])).entries())
    assert [(entry.outcome, entry.reason) for entry in found[2:]] == [
        ("PAUSED", "the task was paused before it was caught up"),
        ("PAUSED", "the task was paused"),
    ]


def test_a_run_past_its_start_deadline_is_missed() -> None:
    lived = scenario(5, rules=Rules(start_deadline=20 * timedelta(seconds=1)), outages=[Span(at(0.5), at(2.5))])
    assert ledger(lived) == [*enqueued([0]), (1, "COALESCED", 1), (2, "MISSED", 1), *enqueued([3, 4])]


def test_spans_are_joined_and_clipped() -> None:
    spans = [Span(at(5), at(9)), Span(at(-3), at(2)), Span(at(1), at(3)), Span(at(4), at(4)), Span(at(30), at(40))]
    assert joined(spans, Span(at(0), at(8))) == [Span(at(0), at(3)), Span(at(5), at(8))]
