"""ExplainOccurrence: for each way in which a moment can stand, the verdict, what is in the way, and the words."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from ordinaut.settings import StoreSettings
from ordinaut.store.queue import due_work_recover
from ordinaut.v1.explanation_pb2 import Hindrance, OccurrenceExplanation
from ordinaut.v1.run_service_pb2 import CancelRunRequest
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    ExplainOccurrenceRequest,
    PauseTaskRequest,
    ResumeTaskRequest,
    SkipOccurrenceRequest,
    SnoozeTaskRequest,
)
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system
from tests.integration.support.queue_rig import Rig
from tests.integration.support.scheduler_rig import LoopRunner, settle

HOURLY = {"triggers": [{"cron": "0 * * * *"}], "time_zone": "Europe/Chisinau"}
Kind, Verdict = Hindrance.Kind, OccurrenceExplanation.Verdict
HOUR = timedelta(hours=1)


class Town:
    """A gateway and a scheduler, on a clock that the test turns; it begins at 12:30 UTC."""

    def __init__(self, system: GatewaySystem, rig: Rig) -> None:
        self.system = system
        self.rig = rig
        self._clockwork = LoopRunner(rig.database, rig.settings)

    async def task(self, **fields: Any) -> None:
        """`tasks/mirror`, planned."""
        task = a_task(**{"schedule": HOURLY, **fields})
        await self.system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="mirror"))
        await self.settle()

    async def settle(self) -> None:
        await settle(self.rig, self._clockwork)

    async def turn(self, **by: float) -> None:
        """Time passes, and the scheduler does what is due."""
        await self.rig.turn_clock(**by)
        await self.settle()

    async def explain(self, moment: datetime | None = None, language: str = "") -> OccurrenceExplanation:
        request = ExplainOccurrenceRequest(name="tasks/mirror", language=language)
        if moment is not None:
            request.time.FromDatetime(moment)
        answer: OccurrenceExplanation = await self.system.admin.tasks.ExplainOccurrence(request)
        assert answer.explanation.endswith(".")
        assert not re.search(r"[{}]|\.\.|  | \.", answer.explanation), answer.explanation
        return answer


def kinds(answer: OccurrenceExplanation) -> list[str]:
    return [Kind.Name(found.kind) for found in answer.hindrances]


def at(hour: float, day: int = 2) -> datetime:
    return datetime(2026, 3, day, tzinfo=UTC) + hour * HOUR


@pytest_asyncio.fixture
async def town(database_url: str, store_settings: StoreSettings) -> AsyncIterator[Town]:
    async with gateway_system(database_url) as system:
        rig = Rig(system.database, store_settings)
        await rig.take_clock()
        await rig.turn_clock(minutes=30)
        yield Town(system, rig)


async def test_a_time_without_occurrence_names_the_neighbouring_ones(town: Town) -> None:
    await town.task()
    await town.turn(hours=1)
    answer = await town.explain(at(13.25))
    assert answer.verdict == Verdict.NOTHING_DUE
    assert (answer.before.local_time, answer.after.local_time) == (
        "2026-03-02T15:00:00+02:00", "2026-03-02T16:00:00+02:00",
    )  # fmt: skip
    assert answer.explanation == (
        "Nothing was due at 2026-03-02 15:15:00+02:00. The previous time in the schedule is "
        "2026-03-02 15:00:00+02:00 (ENQUEUED). The next time in the schedule is 2026-03-02 16:00:00+02:00."
    )
    assert "Nimic nu era programat" in (await town.explain(at(13.25), "ro")).explanation


async def test_a_skipped_or_repeated_local_time_names_the_clock_change(town: Town) -> None:
    """02:30 does not exist in New York on 8 March 2026; at that instant clocks show 03:30."""
    await town.task(schedule={"triggers": [{"cron": "30 2 * * *"}], "time_zone": "America/New_York"})
    for moment in (at(7.5, day=8), at(7, day=8)):
        answer = await town.explain(moment)
        assert (
            "Clocks in America/New_York skip from 02:00 to 03:00 on 2026-03-08, so the times between do not exist. "
            "The occurrence of 02:30 is moved to 03:00."
        ) in answer.explanation
        assert "sar de la 02:00 la 03:00" in (await town.explain(moment, "ro")).explanation
    assert (await town.explain(at(7, day=8))).verdict == Verdict.UPCOMING
    repeated = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    assert "go back from 02:00 to 01:00 on 2026-11-01" in (await town.explain(repeated)).explanation
    for other in (at(7.5, day=9), datetime(2026, 11, 1, 7, 30, tzinfo=UTC)):
        assert "Clocks" not in (await town.explain(other)).explanation


async def test_a_time_before_the_task_existed(town: Town) -> None:
    await town.task()
    for moment in (at(11), at(11.5)):
        answer = await town.explain(moment)
        assert (answer.verdict, kinds(answer)) == (Verdict.NOTHING_DUE, ["OTHER_SCHEDULE"])
        assert "previous time" not in answer.explanation


async def test_future_occurrences_may_be_snoozed_or_skipped(town: Town) -> None:
    await town.task()
    assert (await town.explain(at(13))).verdict == Verdict.UPCOMING
    assert (await town.explain()).time.ToDatetime(UTC) == at(13)
    snooze = SnoozeTaskRequest(name="tasks/mirror")
    snooze.delay.FromTimedelta(timedelta(minutes=10))
    await town.system.admin.tasks.SnoozeTask(snooze)
    answer = await town.explain(at(13))
    assert kinds(answer) == ["LATER_START"]
    assert answer.hindrances[0].time.ToDatetime(UTC) == at(13) + timedelta(minutes=10)
    skip = SkipOccurrenceRequest(name="tasks/mirror", occurrence="20260302T140000Z", reason="a holiday")
    await town.system.admin.tasks.SkipOccurrence(skip)
    answer = await town.explain(at(14))
    assert answer.verdict == Verdict.NOT_RUN
    assert "was skipped: a holiday" in answer.explanation


async def test_a_run_is_followed_from_the_queue_to_its_end(town: Town) -> None:
    await town.task()
    await town.turn(minutes=40)
    answer = await town.explain()
    assert (answer.verdict, answer.time.ToDatetime(UTC)) == (Verdict.QUEUED, at(13))
    assert kinds(answer) == ["NO_WORKER"]
    holder = await town.rig.lease(seconds=10**6)
    assert kinds(await town.explain()) == ["BUSY"]
    await town.rig.queue(3, priority=1)
    answer = await town.explain()
    assert kinds(answer) == ["QUEUE"]
    assert "3 ready runs are ahead of it in the queue" in answer.explanation
    claimed = await town.rig.claim(holder)
    answer = await town.explain()
    assert answer.verdict == Verdict.RUNNING
    await town.rig.complete(holder, *claimed)
    answer = await town.explain()
    assert answer.verdict == Verdict.ENDED
    assert f"became {answer.run.name}, which ended as SUCCEEDED" in answer.explanation


async def test_the_reason_of_a_cancellation_is_included(town: Town) -> None:
    await town.task()
    await town.turn(minutes=40)
    run = (await town.explain()).run.name
    await town.system.admin.runs.CancelRun(CancelRunRequest(name=run, reason="the mirror fell"))
    assert "CANCELLED at 2026-03-02 15:10:00+02:00 (the mirror fell)" in (await town.explain()).explanation


async def test_overlap_names_the_run_that_was_live(town: Town) -> None:
    await town.task()
    await town.turn(minutes=40)
    live = (await town.explain(at(13))).run.name
    await town.turn(hours=1)
    answer = await town.explain(at(14))
    assert (answer.verdict, kinds(answer)) == (Verdict.NOT_RUN, ["LIVE_RUN"])
    assert answer.hindrances[0].resource == live
    assert (await town.explain()).time.ToDatetime(UTC) == at(13), "what waits comes first"


async def test_a_buffered_run_names_the_live_run(town: Town) -> None:
    await town.task(run_policy={"overlap": {"policy": "BUFFER_ONE"}})
    await town.turn(minutes=40)
    live = (await town.explain(at(13))).run.name
    await town.turn(hours=1)
    answer = await town.explain(at(14))
    assert (answer.verdict, kinds(answer)) == (Verdict.QUEUED, ["BUFFERED_RUN"])
    assert answer.hindrances[0].resource == live
    assert f"is buffered until {live} has ended" in answer.explanation


async def test_a_missed_occurrence_names_its_replacement(town: Town) -> None:
    await town.task(run_policy={"start_deadline": "1800s"})
    await town.turn(hours=4, minutes=15)  # 16:45
    coalesced = await town.explain(at(14))
    assert coalesced.verdict == Verdict.NOT_RUN
    assert "replaced by a later one (due at 2026-03-02 18:00:00+02:00, outcome ENQUEUED)" in coalesced.explanation
    async with town.system.database.transaction() as connection:
        await due_work_recover.end_unstarted(connection)
    missed = await town.explain()
    assert (missed.verdict, missed.time.ToDatetime(UTC)) == (Verdict.NOT_RUN, at(16))
    assert f"had not started by the deadline. Its run: {missed.run.name} (CANCELLED)." in missed.explanation
    await town.rig.execute("DELETE FROM run")
    await town.rig.execute("UPDATE occurrence SET outcome = 'ENQUEUED'")
    assert (await town.explain(at(16))).verdict == Verdict.ENDED
    assert "has been deleted" in (await town.explain(at(16))).explanation
    await town.rig.execute("UPDATE occurrence SET outcome = 'MISSED'")
    assert "termenul limită" in (await town.explain(language="ro")).explanation


async def test_a_late_occurrence_is_explained(town: Town) -> None:
    await town.task()
    await town.rig.turn_clock(hours=2)
    answer = await town.explain()
    assert (answer.verdict, answer.time.ToDatetime(UTC), kinds(answer)) == (Verdict.LATE, at(13), ["CATCHING_UP"])
    assert "is late by 1:30:00" in answer.explanation
    await town.system.scheduler.stop(0)
    answer = await town.explain()
    assert (answer.verdict, kinds(answer)) == (Verdict.LATE, ["NO_SCHEDULER"])
    unknown = await town.explain(at(12.75))
    assert (unknown.verdict, "the scheduler is unavailable" in unknown.explanation) == (Verdict.NOTHING_DUE, True)


async def test_a_pause_is_explained_before_it_is_recorded(town: Town) -> None:
    await town.task()
    await town.system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/mirror", reason="the mirror is away"))
    await town.turn(hours=1)
    answer = await town.explain(at(13))
    assert (answer.verdict, kinds(answer)) == (Verdict.LATE, ["TASK_PAUSED"])
    assert "paused since 2026-03-02 14:30:00+02:00 (the mirror is away)" in answer.explanation
    assert kinds(await town.explain(at(15))) == ["TASK_PAUSED"]


async def test_occurrences_before_a_pause_are_late_until_they_are_settled(town: Town) -> None:
    await town.task(schedule={**HOURLY, "catch_up": {"policy": "ALL", "max": 1}})
    await town.rig.turn_clock(hours=2)
    await town.system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/mirror"))
    answer = await town.explain(at(13))
    assert (answer.verdict, kinds(answer)) == (Verdict.LATE, ["CATCHING_UP"])
    await town.settle()
    assert "numai cele mai noi 1." in (await town.explain(at(13), "ro")).explanation
    assert "was paused before it was caught up" in (await town.explain(at(14))).explanation


async def test_excluded_days_are_explained(town: Town) -> None:
    await town.task(schedule={**HOURLY, "exclusions": [{"date": "2026-03-03"}]})
    ahead = await town.explain(at(8, day=3))
    assert (ahead.verdict, "its day is excluded" in ahead.explanation) == (Verdict.UPCOMING, True)
    await town.turn(hours=20)
    past = await town.explain(at(8, day=3))
    assert (past.verdict, "its day is excluded" in past.explanation) == (Verdict.NOT_RUN, True)


async def test_a_disabled_trigger_is_named(town: Town) -> None:
    """Also if nothing is due, because it is why events start no run; until the task is resumed."""
    await town.task(schedule={"triggers": [{"event": {"topic": "mail.received", "when": "data.n > 1"}}]})
    async with town.system.database.connection() as connection:
        await connection.execute(
            "UPDATE event_trigger"
            " SET disable_reason = 'CONDITION_OVER_BUDGET', judged_position = 0, disable_time = clock_now()"
        )
    for language, expected in (("", "ResumeTask enables it"), ("ro", "este dezactivat")):
        answer = await town.explain(language=language)
        assert [hindrance.kind for hindrance in answer.hindrances] == [Kind.TRIGGER_DISABLED]
        assert expected in answer.explanation
    assert answer.hindrances[0].resource in answer.hindrances[0].message
    await town.system.admin.tasks.ResumeTask(ResumeTaskRequest(name="tasks/mirror"))
    assert not (await town.explain()).hindrances
