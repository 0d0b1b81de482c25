"""Runs a scheduler: `python -m scheduler`."""

import asyncio
import sys

from ordinaut.internal.v1.scheduler_service_pb2_grpc import add_SchedulerServiceServicer_to_server
from ordinaut.rpc.server import INTERNAL_MAX_MESSAGE_BYTES, Registration, Server, internal_guard
from ordinaut.rpc.service_process import Process, run
from ordinaut.store.database import Database
from ordinaut.store.hints import BACKFILL, EVENTS, OUTBOX, RUN, SCHEDULE, TURN, WAIT, Hints
from ordinaut.store.migrate import check_schema
from ordinaut.streams.event_stream import EventStream
from scheduler.events.backlog_scan import BacklogScan
from scheduler.events.matcher import Matcher
from scheduler.events.relay import Relay
from scheduler.firing.backfill import Backfill
from scheduler.firing.catch_up import CatchUp
from scheduler.firing.fire import Fire
from scheduler.firing.plan import Plan
from scheduler.firing.unsettled_ranges import UnsettledRanges
from scheduler.firing.zone_upgrade import ZoneUpgrade
from scheduler.loops.pending_work import PendingWork
from scheduler.loops.periodic import LoopClock, PeriodicLoop
from scheduler.maintenance.child_runs import ChildRuns
from scheduler.maintenance.expire_waits import ExpireWaits
from scheduler.maintenance.overdue_tasks import OverdueTasks
from scheduler.maintenance.promote import Promote
from scheduler.maintenance.release_blocked import ReleaseBlocked
from scheduler.maintenance.rescue import Rescue
from scheduler.maintenance.retention import Retention
from scheduler.service import SchedulerService
from scheduler.settings import SchedulerSettings

NEXT_LOOK_SECONDS = 0.002  # after cursors that another scheduler has locked
NEXT_SWEEP_SECONDS = 0.01
# What computes in a thread gives way to the clock ten times sooner than Python would have it.
SWITCH_SECONDS = 0.0005
IN_CASE_SECONDS = 5.0  # the period of a duty that the agenda wakes when there is something to do


async def compose(process: Process, settings: SchedulerSettings) -> None:
    """Puts the scheduler together; what is entered last is left first."""
    database = await Database.open(settings)
    process.stack.push_async_callback(database.close)
    async with database.connection() as connection:
        await check_schema(connection)
    stream = EventStream(settings)
    process.stack.push_async_callback(stream.close)
    hints = Hints(database)
    server = Server(
        [
            Registration(
                add_SchedulerServiceServicer_to_server, SchedulerService(), "ordinaut.internal.v1.SchedulerService"
            )
        ],
        internal_guard(settings.internal_token),
        max_message_bytes=INTERNAL_MAX_MESSAGE_BYTES,
    )
    process.ports["grpc"] = await server.start(settings.scheduler_listen)
    process.stack.push_async_callback(server.stop, 1.0)
    clock = LoopClock()
    process.watch(asyncio.create_task(hints.serve()))
    for loop in periodic_loops(database, stream, hints, clock, settings):
        clock.every_period(loop)
        process.watch(asyncio.create_task(loop.serve(), name=loop.name))
    clock.start()
    process.stack.callback(clock.stop)


def periodic_loops(
    database: Database, stream: EventStream, hints: Hints, clock: LoopClock, settings: SchedulerSettings
) -> list[PeriodicLoop]:
    """Everything that a scheduler does, each with its period in seconds and what wakes it earlier."""
    fire = Fire(database, hints, settings.fire_batch)
    plan = Plan(database, hints, settings.plan_batch)
    sweep = Promote(database, hints)
    relay = Relay(database, stream, hints)
    catch_up = CatchUp(database, hints, settings.catch_up_per_second)

    async def fire_turn() -> bool:
        """Fires; when all is fired, has it planned and sets the alarm for the next instant."""
        more = await fire.run_once()
        if not more:
            plan_loop.wake()
            await set_alarm()
        return more

    async def plan_turn() -> bool:
        """Plans, two batches at once where there are many: one computes while the other is read or written."""
        more = await plan.run_once()
        if more:
            more = any(await asyncio.gather(plan.run_once(), plan.run_once()))
        if not more:
            await set_alarm()
        return more

    async def set_alarm() -> None:
        seconds = await fire.seconds_to_next()
        if seconds is not None and seconds < fire_loop.period_seconds * 2:
            clock.alarm(fire_loop, max(seconds, NEXT_LOOK_SECONDS))

    async def sweep_turn() -> bool:
        """Promotes, and sets the alarm for a row that is due before the next turn."""
        more = await sweep.run_once()
        seconds = await sweep.seconds_to_next()
        if seconds is not None and seconds < promote_loop.period_seconds:
            clock.alarm(promote_loop, max(seconds, NEXT_SWEEP_SECONDS))
        return more

    promote_loop = PeriodicLoop("sweep", sweep_turn, IN_CASE_SECONDS, asyncio.Event())
    fire_loop = PeriodicLoop("fire", fire_turn, IN_CASE_SECONDS, asyncio.Event())
    plan_loop = PeriodicLoop("plan", plan_turn, IN_CASE_SECONDS, hints.subscribe(SCHEDULE))
    woken_loops = [
        fire_loop,
        plan_loop,
        PeriodicLoop("catch_up", catch_up.run_once, IN_CASE_SECONDS, asyncio.Event()),
        PeriodicLoop("arrears", UnsettledRanges(database, hints).run_once, IN_CASE_SECONDS, hints.subscribe(SCHEDULE)),
        promote_loop,
        PeriodicLoop("turns", ReleaseBlocked(database, hints).run_once, IN_CASE_SECONDS, hints.subscribe(RUN, TURN)),
        PeriodicLoop("backfill", Backfill(database, hints).run_once, IN_CASE_SECONDS, hints.subscribe(BACKFILL)),
        PeriodicLoop("rescue", Rescue(database, hints).run_once, IN_CASE_SECONDS, asyncio.Event()),
        PeriodicLoop("number", relay.number, IN_CASE_SECONDS, hints.subscribe(OUTBOX)),
        PeriodicLoop("relay", relay.send, IN_CASE_SECONDS, hints.subscribe(EVENTS)),
        PeriodicLoop("overdue", OverdueTasks(database, hints).run_once, IN_CASE_SECONDS, asyncio.Event()),
        PeriodicLoop("deadline", ExpireWaits(database, hints).run_once, IN_CASE_SECONDS, asyncio.Event()),
        PeriodicLoop("children", ChildRuns(database, hints).run_once, IN_CASE_SECONDS, asyncio.Event()),
        PeriodicLoop("look_back", BacklogScan(database, hints).run_once, IN_CASE_SECONDS, hints.subscribe(WAIT)),
    ]
    return [
        PeriodicLoop("agenda", PendingWork(database, woken_loops).run_once, 0.25, asyncio.Event()),
        *woken_loops,
        PeriodicLoop("match", Matcher(database, stream, hints).run_once, 1.0, asyncio.Event()),
        PeriodicLoop("zone_renewal", ZoneUpgrade(database, hints).run_once, 5.0, asyncio.Event()),
        PeriodicLoop("housekeeping", Retention(database).run_once, 3600.0, asyncio.Event()),
    ]


def main() -> None:
    """Reads the environment and runs until told to stop."""
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = SchedulerSettings()
    run("scheduler", settings, settings.scheduler_metrics_port, lambda process: compose(process, settings))


if __name__ == "__main__":
    main()
