"""Runs a scheduler: `python -m scheduler`."""

import asyncio
import sys

from ordinaut.internal.v1.scheduler_service_pb2_grpc import add_SchedulerServiceServicer_to_server
from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from ordinaut.rpc.server import Registration, Server, internal_guard
from ordinaut.rpc.service_process import Process, run
from ordinaut.store.database import Database
from ordinaut.store.hints import BACKFILL, EVENTS, OUTBOX, RUN, SCHEDULE, TURN, WAIT, Hints
from ordinaut.store.migrate import check_schema
from ordinaut.streams.event_stream import EventStream
from scheduler.events.backlog_scan import LookBack
from scheduler.events.matcher import Matcher
from scheduler.events.relay import Relay
from scheduler.firing.backfill import Backfill
from scheduler.firing.catch_up import CatchUp
from scheduler.firing.fire import Fire
from scheduler.firing.plan import Plan
from scheduler.firing.unsettled_ranges import Arrears
from scheduler.firing.zone_upgrade import ZoneRenewal
from scheduler.loops.pending_work import Agenda
from scheduler.loops.periodic import Clockwork, Duty
from scheduler.maintenance.child_runs import Children
from scheduler.maintenance.expire_waits import Deadline
from scheduler.maintenance.overdue import Overdue
from scheduler.maintenance.promote import Sweep
from scheduler.maintenance.release_blocked import Turns
from scheduler.maintenance.rescue import Rescue
from scheduler.maintenance.retention import Housekeeping
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
        max_message_bytes=MAX_INTERNAL_MESSAGE_BYTES,
    )
    process.ports["grpc"] = await server.start(settings.scheduler_listen)
    process.stack.push_async_callback(server.stop, 1.0)
    clockwork = Clockwork()
    process.watch(asyncio.create_task(hints.serve()))
    for duty in duties(database, stream, hints, clockwork, settings):
        clockwork.every_period(duty)
        process.watch(asyncio.create_task(duty.serve(), name=duty.name))
    clockwork.start()
    process.stack.callback(clockwork.stop)


def duties(
    database: Database, stream: EventStream, hints: Hints, clockwork: Clockwork, settings: SchedulerSettings
) -> list[Duty]:
    """Everything that a scheduler does, each with its period in seconds and what wakes it earlier."""
    fire = Fire(database, hints, settings.fire_batch)
    plan = Plan(database, hints, settings.plan_batch)
    sweep = Sweep(database, hints)
    relay = Relay(database, stream, hints)
    catch_up = CatchUp(database, hints, settings.catch_up_per_second)

    async def fire_turn() -> bool:
        """Fires; when all is fired, has it planned and sets the alarm for the next instant."""
        more = await fire.turn()
        if not more:
            plan_duty.wake()
            await set_alarm()
        return more

    async def plan_turn() -> bool:
        """Plans, two batches at once where there are many: one computes while the other is read or written."""
        more = await plan.turn()
        if more:
            more = any(await asyncio.gather(plan.turn(), plan.turn()))
        if not more:
            await set_alarm()
        return more

    async def set_alarm() -> None:
        seconds = await fire.seconds_to_next()
        if seconds is not None and seconds < fire_duty.period_seconds * 2:
            clockwork.alarm(fire_duty, max(seconds, NEXT_LOOK_SECONDS))

    async def sweep_turn() -> bool:
        """Promotes, and sets the alarm for a row that is due before the next turn."""
        more = await sweep.turn()
        seconds = await sweep.seconds_to_next()
        if seconds is not None and seconds < sweep_duty.period_seconds:
            clockwork.alarm(sweep_duty, max(seconds, NEXT_SWEEP_SECONDS))
        return more

    sweep_duty = Duty("promote", sweep_turn, IN_CASE_SECONDS, asyncio.Event())
    fire_duty = Duty("fire", fire_turn, IN_CASE_SECONDS, asyncio.Event())
    plan_duty = Duty("plan", plan_turn, IN_CASE_SECONDS, hints.subscribe(SCHEDULE))
    on_agenda = [
        fire_duty,
        plan_duty,
        Duty("catch_up", catch_up.turn, IN_CASE_SECONDS, asyncio.Event()),
        Duty("unsettled_ranges", Arrears(database, hints).turn, IN_CASE_SECONDS, hints.subscribe(SCHEDULE)),
        sweep_duty,
        Duty("release_blocked", Turns(database, hints).turn, IN_CASE_SECONDS, hints.subscribe(RUN, TURN)),
        Duty("backfill", Backfill(database, hints).turn, IN_CASE_SECONDS, hints.subscribe(BACKFILL)),
        Duty("rescue", Rescue(database, hints).turn, IN_CASE_SECONDS, asyncio.Event()),
        Duty("number_events", relay.number, IN_CASE_SECONDS, hints.subscribe(OUTBOX)),
        Duty("relay_events", relay.send, IN_CASE_SECONDS, hints.subscribe(EVENTS)),
        Duty("overdue", Overdue(database, hints).turn, IN_CASE_SECONDS, asyncio.Event()),
        Duty("expire_waits", Deadline(database, hints).turn, IN_CASE_SECONDS, asyncio.Event()),
        Duty("child_runs", Children(database, hints).turn, IN_CASE_SECONDS, asyncio.Event()),
        Duty("backlog_scan", LookBack(database, hints).turn, IN_CASE_SECONDS, hints.subscribe(WAIT)),
    ]
    return [
        Duty("pending_work", Agenda(database, on_agenda).turn, 0.25, asyncio.Event()),
        *on_agenda,
        Duty("match_events", Matcher(database, stream, hints).turn, 1.0, asyncio.Event()),
        Duty("zone_renewal", ZoneRenewal(database, hints).turn, 5.0, asyncio.Event()),
        Duty("housekeeping", Housekeeping(database).turn, 3600.0, asyncio.Event()),
    ]


def main() -> None:
    """Reads the environment and runs until told to stop."""
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = SchedulerSettings()
    run("scheduler", settings, settings.scheduler_metrics_port, lambda process: compose(process, settings))


if __name__ == "__main__":
    main()
