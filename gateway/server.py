"""One gateway, composed: the public server with all that stands behind it."""

import asyncio
from dataclasses import dataclass
from typing import Any

from gateway.agents.service import Agents
from gateway.api.authentication import Authenticator, method_scopes
from gateway.api.calls import counted, registration
from gateway.api.pagination import Pages
from gateway.approvals.answer import ApprovalAnswer
from gateway.approvals.answer_check import ApprovalCheck
from gateway.approvals.service import Approvals
from gateway.clients import Engines, Scheduler
from gateway.definitions.validation import TaskCheck
from gateway.events.service import Events
from gateway.events.watch import EventWatch
from gateway.health import Components
from gateway.runs.create import InlineRun
from gateway.runs.replay import RunReplay
from gateway.runs.run_task import TaskRun
from gateway.runs.service import Runs
from gateway.runs.simulate import RunSimulation
from gateway.runs.watch import RunWatch
from gateway.services import DESCRIPTORS, PUBLIC
from gateway.settings import GatewaySettings
from gateway.state import State
from gateway.system import System
from gateway.tasks.backfills.create import BackfillCreate
from gateway.tasks.occurrences.explanation.explain import Explanation
from gateway.tasks.occurrences.skip import OccurrenceSkip
from gateway.tasks.preview import SchedulePreview
from gateway.tasks.service import Tasks
from gateway.tasks.simulate import TaskSimulation
from gateway.token_uses import TokenUses
from gateway.tools.call import ToolCall
from gateway.tools.service import Tools
from ordinaut.limits import MAX_MESSAGE_BYTES
from ordinaut.rpc.server import Server
from ordinaut.rpc.service_process import Process
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from ordinaut.store.migrate import check_schema


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is ready to listen."""

    server: Server
    components: Components
    run_watch: RunWatch
    event_watch: EventWatch

    async def stop(self, grace_seconds: float) -> None:
        """Takes no new calls, ends the streams, and gives the other calls `grace_seconds` to end."""
        self.run_watch.stop()
        await self.event_watch.stop()
        await self.server.stop(grace_seconds)


async def open_gateway(process: Process, settings: GatewaySettings) -> Gateway:
    """Everything but the listeners, for as long as the process lives; create it inside the running event loop.

    Raises:
        SchemaVersionError: the database is not one that this version serves.
        UnavailableError: PostgreSQL cannot be reached.
        RuntimeError: a method of the contract declares no scope.
    """
    database = await Database.open(settings)
    process.stack.push_async_callback(database.close)
    async with database.connection() as connection:
        await check_schema(connection)
        pages = Pages(await identity.page_token_key(connection))
    scheduler = Scheduler(settings.scheduler_address, settings.internal_token)
    process.stack.push_async_callback(scheduler.close)
    engines = Engines(settings.engines, settings.internal_token)
    process.stack.push_async_callback(engines.close)
    hints = Hints(database)
    uses = TokenUses(database)
    authenticator = Authenticator(database, method_scopes(DESCRIPTORS), uses)
    components = Components(database, scheduler, engines)
    run_watch, event_watch = RunWatch(database, hints), EventWatch(database, hints)
    check = TaskCheck(database, scheduler, engines)
    start = TaskRun(database, hints, engines, settings.live_runs_max)
    inline = InlineRun(database, hints, check, settings.live_runs_max)
    simulation, replay = RunSimulation(database, check, engines), RunReplay(database, check, engines)
    servicers: dict[str, Any] = {
        "AgentService": Agents(database, pages),
        "ApprovalService": Approvals(
            database, pages, ApprovalAnswer(database, hints, ApprovalCheck(database, engines))
        ),
        "EventService": Events(database, hints, pages, event_watch, authenticator),
        "RunService": Runs(database, hints, pages, inline, simulation, replay, run_watch, authenticator),
        "StateService": State(database, pages),
        "SystemService": System(database, components),
        "TaskService": Tasks(
            database,
            hints,
            pages,
            check,
            SchedulePreview(database, scheduler),
            TaskSimulation(database, scheduler),
            Explanation(database, scheduler, components),
            start,
            OccurrenceSkip(database, scheduler),
            BackfillCreate(database, hints, scheduler, engines),
        ),
        "ToolService": Tools(database, pages, engines, ToolCall(database, inline, run_watch, authenticator)),
    }
    loops: dict[str, Any] = {"hints": hints, "run_watch": run_watch, "event_watch": event_watch, "token_uses": uses}
    for name, work in loops.items():
        process.watch(asyncio.create_task(work.serve(), name=name))
    registrations = [registration(servicers[name], service, add) for name, (service, add) in PUBLIC.items()]
    server = Server(registrations, counted(authenticator.guard), max_message_bytes=MAX_MESSAGE_BYTES)
    return Gateway(server, components, run_watch, event_watch)
