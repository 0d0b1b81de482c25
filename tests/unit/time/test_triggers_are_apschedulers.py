"""The triggers answer APScheduler's question, and what a cursor kept can never change an answer."""

from datetime import UTC, datetime, timedelta

from apscheduler.triggers.base import BaseTrigger

from scheduler.schedules.schedule import CompiledSchedule
from scheduler.schedules.union import UnionTrigger
from scheduler.triggers.cron.trigger import CronTrigger
from scheduler.triggers.event import EventTrigger
from scheduler.triggers.interval import IntervalTrigger
from scheduler.triggers.localtime.zone import zone
from tests.unit.time.writing import accepted

NINE = datetime(2026, 5, 1, 9, tzinfo=UTC)
COUNTED = {"rrule": "DTSTART:20260501T090000Z\nRRULE:FREQ=DAILY;COUNT=3"}


def test_get_next_fire_time() -> None:
    """From now on inclusively at first, strictly after the previous time then."""
    trigger = UnionTrigger([EventTrigger("a.b"), CronTrigger("0 9 * * *", zone("UTC"))])
    assert isinstance(trigger, BaseTrigger)
    assert trigger.get_next_fire_time(None, NINE) == NINE
    assert trigger.get_next_fire_time(NINE, NINE) == NINE + timedelta(days=1)
    assert EventTrigger("a.b").get_next_fire_time(None, NINE) is None


def test_an_interval_counts_from_its_anchor() -> None:
    """The anchor itself is the first time; later ones do not drift, whenever one asks."""
    trigger = IntervalTrigger(timedelta(minutes=25), NINE)
    assert trigger.get_next_fire_time(None, NINE - timedelta(days=3)) == NINE
    late = trigger.get_next_fire_time(None, NINE + timedelta(days=1, seconds=1))
    assert late is not None
    assert (late - NINE) % timedelta(minutes=25) == timedelta()


def test_the_stored_end_of_a_count_is_used_only_for_its_own_rule() -> None:
    """State of this rule spares the counting; state of another rule, or none at all, changes nothing."""
    last = datetime(2026, 5, 3, 9, tzinfo=UTC)
    stored = {"triggers": [{"id": "t0", **COUNTED}], "time_zone": "UTC"}
    _, state = CompiledSchedule(stored).next(None)
    assert state["t0"].endswith(" 20260503T090000")
    for kept in (state, None, {"t0": "00000000 20990101T000000"}, {"t0": 7}, {"t0": "x"}, {"other": state["t0"]}):
        plan = CompiledSchedule(stored)
        assert plan.next(last - timedelta(days=1), kept)[0] is not None
        assert plan.next(last, kept)[0] is None


def test_equal_schedules_are_compiled_once() -> None:
    """A million cursors with the same rule share one."""
    assert accepted(COUNTED, time_zone="UTC") is accepted(COUNTED, time_zone="UTC")
