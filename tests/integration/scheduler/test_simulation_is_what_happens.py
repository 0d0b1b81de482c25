"""Simulated ledgers are, row by row, what the live planner writes into a real database on a turned clock."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from scheduler.firing.catch_up_policy import CatchUpPolicy
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.simulation.scenario import Rules, Scenario, Span
from scheduler.simulation.simulation import Simulation
from tests.integration.support.history import TICK, Life, Worker
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.sample import FULL
from tests.unit.time import outage_table

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
CATCH_UP: list[dict[str, Any]] = [
    {}, {"window": "600s"}, {"policy": "ALL", "max": 4}, {"policy": "ALL", "max": 50, "window": "7200s"},
    {"policy": "NONE"},
]  # fmt: skip
# By the hour, through the change of clocks in New York on 8 March; by the second, through some minutes.
WEEK: list[list[dict[str, Any]]] = [
    [{"cron": "30 */3 * * *"}],
    [{"cron": "*/30 1-3 * * *"}],
    [{"cron": "30 2 * * *"}, {"interval": "21600s"}],
    [{"rrule": "DTSTART:20260302T080000\nRRULE:FREQ=DAILY;BYHOUR=2,8,20;BYMINUTE=30;BYSECOND=0"}],
    [{"rrule": "DTSTART:20260302T080000\nRRULE:FREQ=HOURLY;INTERVAL=5;COUNT=20"}, {"once": "2026-03-08T02:30:00"}],
    [{"interval": "14400s"}],
]
MINUTES: list[list[dict[str, Any]]] = [
    [{"interval": "20s"}],
    [{"interval": "45s"}, {"cron": "*/2 * * * *"}],
    [{"cron": "* * * * *"}],
    [{"rrule": "DTSTART:20260302T070000\nRRULE:FREQ=SECONDLY;INTERVAL=50;COUNT=120"}],
    [{"once": "2026-03-02T07:20:10"}, {"interval": "300s"}],
]
EVERY_OTHER_DAY = "DTSTART:20260302T000000\nRRULE:FREQ=DAILY;INTERVAL=2"


class Dice:
    """Random tasks and what happens to them."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)
        self.by_hour = seed.startswith("week")
        self.end = BEGINNING + (timedelta(days=7) if self.by_hour else 25 * MINUTE)
        self._unit = HOUR if self.by_hour else MINUTE

    def schedule(self) -> dict[str, Any]:
        choose = self._chance.choice
        triggers = choose(WEEK if self.by_hour else MINUTES)
        return {
            "triggers": [{"id": f"t{place}", **trigger} for place, trigger in enumerate(triggers)],
            "time_zone": "America/New_York",
            "start_time": BEGINNING.isoformat(),
            "catch_up": choose(CATCH_UP),
            "exclusions": choose([[], [], [{"date": "2026-03-04"}], [{"rrule": EVERY_OTHER_DAY}]]),
            "jitter": choose(["0s", "0s", "900s" if self.by_hour else "15s"]),
            "dst": choose([{}, {"gap": "SKIP", "overlap": "LAST"}, {"gap": "RUN_AFTER", "overlap": "BOTH"}]),
            **choose([{}, {}, {"max_occurrences": 12}, {"end_time": (self.end - self._unit).isoformat()}]),
        }

    def rules(self) -> Rules:
        choose = self._chance.choice
        return Rules(
            overlap=choose(["SKIP", "SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER", "ALLOW"]),
            max_buffer=choose([2, 5]),
            start_deadline=choose([None, None, 3 * SECOND, 5 * self._unit]),
            pause_after_failures=choose([None, None, 1, 3]),
        )

    def durations(self) -> list[timedelta]:
        lengths = [SECOND, 7 * SECOND, self._unit / 2, self._unit, 3 * self._unit, 11 * self._unit]
        return self._chance.choices(lengths, k=self._chance.randint(1, 5))

    def fail_every(self) -> int:
        return self._chance.choice([0, 1, 2, 3])

    def spans(self, most: int) -> list[Span]:
        """Apart from each other, inside of the window."""
        seconds = (self.end - BEGINNING).total_seconds()
        edges = sorted(self._chance.sample(range(2, int(seconds) - 2), 2 * self._chance.randint(0, most)))
        times = [BEGINNING + edge * SECOND for edge in edges]
        spans = [Span(start, end) for start, end in zip(times[::2], times[1::2], strict=True)]
        return [Span(span.start, min(span.end, span.start + self._long())) for span in spans]

    def _long(self) -> timedelta:
        return self._chance.choice([3 * SECOND, 10 * SECOND, 4 * self._unit, 30 * self._unit])


def simulated(scenario: Scenario) -> list[tuple[Any, ...]]:
    """The rows that the simulation foresees, in the order of time."""
    rows = [
        (
            entry.first.time, entry.last, entry.count, entry.outcome, entry.reason, entry.time,
            entry.run and (entry.run.start, entry.run.end, entry.run.state),
        )
        for entry in list(Simulation(scenario).entries())
    ]  # fmt: skip
    return sorted(rows, key=lambda row: row[0])


async def a_task(rig: Rig, dice: Dice, outages: list[Span]) -> Scenario:
    """A task in the database, and the same as a scenario."""
    schedule, rules = dice.schedule(), dice.rules()
    uid = await rig.task(
        *schedule["triggers"],
        **{key: value for key, value in schedule.items() if key != "triggers"},
        overlap=rules.overlap,
        policy={
            "max_buffer": rules.max_buffer if rules.overlap == "BUFFER_ALL" else None,
            "start_deadline": rules.start_deadline,
            "pause_after_failures": rules.pause_after_failures,
        },
    )
    return Scenario(
        schedule=CompiledSchedule.compile(schedule),
        task=uid,
        window=Span(BEGINNING + TICK, dice.end),
        catch_up=CatchUpPolicy.of(schedule),
        rules=rules,
        durations=dice.durations(),
        fail_every=dice.fail_every(),
        outages=outages,
        pauses=dice.spans(1),
    )


@pytest.mark.parametrize("seed", ["week-0", "minutes-0"])
async def test_a_simulation_is_what_happens(seed: str, rig: Rig) -> None:
    """Random schedules, policies, durations, failures, outages and pauses; the seed is in the test's name."""
    dice = Dice(seed)
    outages = dice.spans(2)
    scenarios = [await a_task(rig, dice, outages) for _ in range(6 if FULL else 3)]
    durations = {scenario.task: (scenario.durations, scenario.fail_every) for scenario in scenarios}
    life = Life(rig, Worker(rig, await rig.lease(seconds=10**7), durations), dice.end, outages)
    for scenario in scenarios:
        life.pause(scenario.task, scenario.pauses)
    await life.live()
    for scenario in scenarios:
        assert simulated(scenario) == await life.rows(scenario.task), (seed, await told(rig, scenario.task))


async def test_an_hour_without_schedulers_is_as_documented(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """The ledgers of `docs/time.md`, one for each policy of catching up, lived through and printed."""
    await rig.turn_clock(seconds=(outage_table.BEGIN - TICK - BEGINNING).total_seconds())
    scenarios = []
    for policy in outage_table.POLICIES.values():
        document = outage_table.schedule(policy)
        uid = await rig.task(*document.pop("triggers"), overlap=None, **document)
        scenarios.append(outage_table.scenario(policy, uid))
    durations = {scenario.task: (scenario.durations, 0) for scenario in scenarios}
    worker = Worker(rig, await rig.lease(seconds=10**7), durations)
    life = Life(rig, worker, outage_table.END, [outage_table.OUTAGE])
    await life.live()
    for name, scenario in zip(outage_table.POLICIES, scenarios, strict=True):
        rows = await life.rows(scenario.task)
        assert simulated(scenario) == rows
        print_ledger(capsys, name, rows)


def print_ledger(capsys: pytest.CaptureFixture[str], name: str, rows: list[tuple[Any, ...]]) -> None:
    """For whoever watches: `pytest -k documented` shows what each policy made of the hour."""
    with capsys.disabled():
        print(f"\n{name}")
        for first, last, count, outcome, reason, _, run in rows:
            due = f"{first:%H:%M}" if count == 1 else f"{first:%H:%M} to {last:%H:%M}"
            ran = f"{run[0]:%H:%M} to {run[1]:%H:%M}" if run else reason
            print(f"  {due:<15}  {count:>2}  {outcome:<16}  {ran}")


async def told(rig: Rig, task: UUID) -> Any:
    """What the task was."""
    return await rig.value("SELECT schedule::text FROM task_version WHERE task = $1", task)
