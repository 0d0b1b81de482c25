"""Runs a scheduler: `python -m scheduler`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

from ordinaut.internal.v1.scheduler_service_pb2_grpc import add_SchedulerServiceServicer_to_server
from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from ordinaut.processes.pool import ProcessPool
from ordinaut.rpc.server import Registration, Server, internal_guard
from ordinaut.rpc.service_process import Process, run
from ordinaut.settings import read_settings
from ordinaut.store.database import Database
from ordinaut.store.hints import BACKFILL, BUFFERED, EVENTS, JUDGE, OUTBOX, RUN, SCHEDULE, WAIT, Hints
from ordinaut.store.migrate import check_schema
from ordinaut.streams.event_stream import EventStream
from scheduler.conditions.judge import SIZE, Judge, new_pool
from scheduler.events.backlog_scan import BacklogScan
from scheduler.events.matcher import Matcher
from scheduler.events.relay import Relay
from scheduler.firing.backfill import Backfill
from scheduler.firing.catch_up import CatchUp
from scheduler.firing.fire import Fire
from scheduler.firing.plan import Plan
from scheduler.firing.unsettled_ranges import UnsettledRanges
from scheduler.firing.zone_upgrade import ZoneUpgrade
from scheduler.loops.firing import FALLBACK_SECONDS, FiringLoops
from scheduler.loops.pending_work import PendingWork
from scheduler.loops.periodic import LoopClock, PeriodicLoop
from scheduler.maintenance.audit_seal import AuditSeal
from scheduler.maintenance.child_runs import ChildRuns
from scheduler.maintenance.expire_waits import ExpireWaits
from scheduler.maintenance.live_quota import LiveQuota
from scheduler.maintenance.overdue_tasks import OverdueTasks
from scheduler.maintenance.promote import Promote
from scheduler.maintenance.release_blocked import ReleaseBlocked
from scheduler.maintenance.remove_projects import RemoveProjects
from scheduler.maintenance.rescue import Rescue
from scheduler.maintenance.retention import Retention
from scheduler.service import SchedulerService
from scheduler.settings import SchedulerSettings

# Computing threads yield the interpreter to the event loop ten times sooner than by Python's default of 5 ms.
SWITCH_SECONDS = 0.0005


async def compose(process: Process, settings: SchedulerSettings) -> None:
    """Starts the parts of the scheduler; they are stopped in reverse order."""
    guard = internal_guard(settings.internal_token, settings.scheduler_listen)
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
        guard,
        max_message_bytes=MAX_INTERNAL_MESSAGE_BYTES,
    )
    process.ports["grpc"] = await server.start(settings.scheduler_listen)
    process.stack.push_async_callback(server.stop, 1.0)
    clock = LoopClock()
    pool = new_pool()
    process.stack.push_async_callback(pool.close)
    starting = asyncio.create_task(pool.start())
    process.stack.callback(starting.cancel)
    process.watch(asyncio.create_task(hints.serve()))
    for loop in periodic_loops(database, stream, hints, clock, settings, pool):
        clock.every_period(loop)
        process.watch(asyncio.create_task(loop.serve(), name=loop.name))
    clock.start()
    process.stack.callback(clock.stop)


def periodic_loops(
    database: Database,
    stream: EventStream,
    hints: Hints,
    clock: LoopClock,
    settings: SchedulerSettings,
    pool: ProcessPool,
) -> list[PeriodicLoop]:
    """Every loop of a scheduler."""
    firing = FiringLoops(
        Fire(database, hints, settings.fire_batch),
        Plan(database, hints, settings.plan_batch),
        Promote(database, hints),
        clock,
        hints,
    )
    relay = Relay(database, stream, hints)
    judge = Judge(database, hints, pool)
    seal = AuditSeal(database)
    catch_up = CatchUp(database, hints, settings.catch_up_per_second)

    def loop(
        name: str, run_once: Callable[[], Awaitable[bool]], *topics: str, period: float = FALLBACK_SECONDS
    ) -> PeriodicLoop:
        return PeriodicLoop(name, run_once, period, hints.subscribe(*topics))

    by_pending_work = [
        firing.fire,
        firing.plan,
        firing.promote,
        loop("catch_up", catch_up.run_once),
        loop("unsettled_ranges", UnsettledRanges(database, hints).run_once, SCHEDULE),
        loop("release_blocked", ReleaseBlocked(database, hints).run_once, RUN, BUFFERED),
        loop("backfill", Backfill(database, hints).run_once, BACKFILL),
        loop("rescue", Rescue(database, hints).run_once),
        loop("number_events", relay.number, OUTBOX),
        loop("send_events", relay.send, EVENTS),
        loop("overdue_tasks", OverdueTasks(database, hints).run_once),
        loop("expire_waits", ExpireWaits(database, hints).run_once),
        loop("child_runs", ChildRuns(database, hints).run_once),
        loop("seal_audit", seal.run_once),
        loop("backlog_scan", BacklogScan(database, hints).run_once, WAIT),
        loop("judge", judge.run_once, JUDGE),
    ]
    return [
        loop("pending_work", PendingWork(database, by_pending_work).run_once, period=0.25),
        *by_pending_work,
        *(loop(f"judge_{number}", judge.run_once, JUDGE) for number in range(1, SIZE)),
        loop("matcher", Matcher(database, hints).run_once, EVENTS, period=0.5),
        loop("live_quota", LiveQuota(database).run_once, period=2.0),
        loop("zone_upgrade", ZoneUpgrade(database, hints).run_once, period=5.0),
        loop("remove_projects", RemoveProjects(database, hints).run_once, period=5.0),
        loop("retention", Retention(database, timedelta(days=settings.audit_days)).run_once, period=3600.0),
        loop("audit_heads", seal.log_heads, period=3600.0),
    ]


def main() -> None:
    """Reads the environment and runs until stopped."""
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = read_settings(SchedulerSettings)
    run("scheduler", settings, settings.scheduler_metrics_port, lambda process: compose(process, settings))


if __name__ == "__main__":
    main()
