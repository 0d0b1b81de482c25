"""Composes one gateway: the public gRPC server with its services and background loops."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from gateway.admission.abandoned_calls import AbandonedCalls
from gateway.admission.door import Door
from gateway.agents.issue import TokenLifetimes
from gateway.agents.service import Agents
from gateway.api.calls import count_rejections, registration
from gateway.api.pagination import PageTokens
from gateway.approvals.answer import ApprovalAnswer
from gateway.approvals.answer_validation import AnswerValidator
from gateway.approvals.service import Approvals
from gateway.audit.service import Audit
from gateway.authentication.authenticator import Authenticator, method_scopes
from gateway.authentication.caller import CALLER
from gateway.authentication.client_address import ForwardedRequest, Metadata
from gateway.authentication.origin import ORIGIN, Origin
from gateway.authentication.token_uses import TokenUses
from gateway.clients import EngineClient, SchedulerClient
from gateway.definitions.references import with_pipeline_rights
from gateway.definitions.validation import TaskValidator
from gateway.events.service import Events
from gateway.events.watch import EventWatch
from gateway.health import Health
from gateway.projects.service import Projects
from gateway.recording.denials import Denials
from gateway.runs.create import InlineRun
from gateway.runs.replay import RunReplay
from gateway.runs.run_task import ManualRun
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
from gateway.tools.call import ToolCall
from gateway.tools.service import Tools
from ordinaut.errors import OrdinautError
from ordinaut.limits import MAX_MESSAGE_BYTES
from ordinaut.rpc.interceptor import Checks
from ordinaut.rpc.requests import admit_all
from ordinaut.rpc.server import Limits, Server
from ordinaut.rpc.service_process import Process
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from ordinaut.store.migrate import check_schema


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is ready to listen.

    `rest_server` serves the calls of the REST server of this process, without limits of connections.
    """

    server: Server
    rest_server: Server
    health: Health
    run_watch: RunWatch
    event_watch: EventWatch
    authenticator: Authenticator
    door: Door
    denials: Denials
    abandoned_calls: AbandonedCalls
    yaml_max_bytes: int

    async def authenticate(self, path: str, metadata: Metadata) -> None:
        """Identifies the caller of a REST request by its metadata, so that `admit` counts it for its project.

        Raises:
            UnauthenticatedError: the token is missing or invalid.
            ResourceExhaustedError: LIMIT_REACHED: too many invalid tokens from the address.
        """
        request = ForwardedRequest(metadata)
        ORIGIN.set(Origin(path, request))
        try:
            CALLER.set(await self.authenticator.identify(request))
        except OrdinautError as refusal:
            self.denials.note(refusal, None)
            raise

    async def admit(self, size: int) -> None:
        """Delays or refuses a large body, as Door.admit."""
        await self.door.admit(size)

    async def listen(self, address: str) -> int:
        """Listens for gRPC on `host:port`; returns the port.

        Raises:
            StartError: the address cannot be bound.
        """
        self.abandoned_calls.port = port = await self.server.start(address)
        return port

    async def stop(self, grace_seconds: float) -> None:
        """Accepts no new calls, ends the streams, and waits at most `grace_seconds` for the other calls."""
        self.run_watch.stop()
        await self.event_watch.stop()
        await self.server.stop(grace_seconds)


async def open_gateway(process: Process, settings: GatewaySettings) -> Gateway:
    """Opens everything except the listeners, until the process ends; call it inside the running event loop.

    Raises:
        SchemaVersionError: this version does not support the schema version of the database.
        UnavailableError: PostgreSQL is unreachable.
        RuntimeError: a method of the contract declares no scope.
    """
    database = await Database.open(settings)
    process.stack.push_async_callback(database.close)
    async with database.connection() as connection:
        await check_schema(connection)
        page_tokens = PageTokens(await identity.page_token_key(connection))
    scheduler = SchedulerClient(settings.scheduler_address, settings.internal_token)
    process.stack.push_async_callback(scheduler.close)
    engines = EngineClient(settings.engines, settings.internal_token)
    process.stack.push_async_callback(engines.close)
    hints = Hints(database)
    uses, denials, door = TokenUses(database), Denials(database), Door(database)
    authenticator = Authenticator(database, method_scopes(DESCRIPTORS), uses, door.enter)
    health = Health(database, scheduler, engines)
    run_watch, event_watch = RunWatch(database, hints), EventWatch(database, hints)
    process.stack.push_async_callback(denials.stop)
    loops: dict[str, Any] = {
        "hints": hints,
        "run_watch": run_watch,
        "event_watch": event_watch,
        "token_uses": uses,
        "denials": denials,
    }
    for name, loop in loops.items():
        process.watch(asyncio.create_task(loop.serve(), name=name))
    servicers = _servicers(
        settings, database, hints, page_tokens, scheduler, engines, authenticator, health, run_watch, event_watch, door
    )
    registrations = [
        registration(servicers[name], service, add, door.stream, door.heavy) for name, (service, add) in PUBLIC.items()
    ]
    explain = denials.watching(with_pipeline_rights)
    abandoned_calls = AbandonedCalls()
    checks = Checks(count_rejections(authenticator.guard), explain, door.admit, abandoned_calls.note)
    return Gateway(
        Server(registrations, checks, max_message_bytes=MAX_MESSAGE_BYTES, limits=Limits()),
        # The REST server has admitted its large requests before it converted them.
        Server(registrations, replace(checks, admit=admit_all), max_message_bytes=MAX_MESSAGE_BYTES),
        health,
        run_watch,
        event_watch,
        authenticator,
        door,
        denials,
        abandoned_calls,
        settings.yaml_max_bytes,
    )


def _lifetimes(settings: GatewaySettings) -> TokenLifetimes:
    return TokenLifetimes(timedelta(days=settings.token_default_days), timedelta(days=settings.token_longest_days))


def _servicers(
    settings: GatewaySettings,
    database: Database,
    hints: Hints,
    page_tokens: PageTokens,
    scheduler: SchedulerClient,
    engines: EngineClient,
    authenticator: Authenticator,
    health: Health,
    run_watch: RunWatch,
    event_watch: EventWatch,
    door: Door,
) -> dict[str, Any]:
    validator = TaskValidator(database, scheduler, engines)
    manual_run = ManualRun(database, hints, engines, door, settings.live_runs_max)
    inline_run = InlineRun(database, hints, validator, door, settings.live_runs_max)
    simulation, replay = RunSimulation(database, validator, engines), RunReplay(database, validator, engines)
    return {
        "AgentService": Agents(database, page_tokens, _lifetimes(settings), door.quotas),
        "ApprovalService": Approvals(
            database, page_tokens, ApprovalAnswer(database, hints, AnswerValidator(database, engines))
        ),
        "AuditService": Audit(database, page_tokens, authenticator),
        "EventService": Events(database, hints, page_tokens, event_watch, authenticator, door),
        "ProjectService": Projects(database, page_tokens, authenticator),
        "RunService": Runs(
            database, hints, page_tokens, inline_run, simulation, replay, run_watch, authenticator, door
        ),
        "StateService": State(database, page_tokens, door),
        "SystemService": System(database, health, door),
        "TaskService": Tasks(
            database,
            hints,
            page_tokens,
            validator,
            SchedulePreview(database, scheduler),
            TaskSimulation(database, scheduler),
            Explanation(database, scheduler, health),
            manual_run,
            OccurrenceSkip(database, scheduler),
            BackfillCreate(database, hints, scheduler, engines),
            door,
        ),
        "ToolService": Tools(
            database, page_tokens, engines, ToolCall(database, inline_run, run_watch, authenticator), door.quotas
        ),
    }
