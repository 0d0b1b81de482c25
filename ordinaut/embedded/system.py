"""A complete system on one machine: starts, supervises and stops two stores and four services."""

import asyncio
import importlib
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ordinaut.embedded.data_key import ensure_data_key
from ordinaut.embedded.environment import SECRETS, Layout, Replica, replica_environment, shared_environment
from ordinaut.embedded.folder import locked, tighten
from ordinaut.embedded.postgres import SERVICES_USER, EmbeddedPostgres
from ordinaut.embedded.service import Service
from ordinaut.embedded.supervisor import RestartableServer, Supervisor
from ordinaut.embedded.unprivileged import identity_for_postgres
from ordinaut.embedded.valkey import EmbeddedValkey

STOP_ORDER = ("worker", "pipeline_engine", "scheduler", "gateway")  # consumers of work first, the public API last
GRACE_SECONDS = 10.0
DATABASE_MODULE = (
    "ordinaut.embedded.database"  # imported in a thread while PostgreSQL starts, because it loads the database driver
)


@dataclass(frozen=True)
class Plan:
    """What to run. A port selects exactly that port, 0 any free one, None the default port if it is free."""

    data_dir: Path
    grpc_port: int | None = None
    rest_port: int | None = None
    workers: int = 1
    engines: int = 1
    verbose: bool = False


class System:
    """`async with System(plan) as system:` starts everything, and stops it on exit."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder = plan.data_dir.resolve()
        self._logs = self._folder / "logs"
        self._stack = AsyncExitStack()
        self._supervisors: dict[str, list[Supervisor]] = {}
        self._layout: Layout
        self._token = ""
        self._postgres = EmbeddedPostgres(self._folder / "postgres", log=self._logs / "postgres.log")
        self._valkey = EmbeddedValkey(self._folder / "valkey", log=self._logs / "valkey.log")

    async def __aenter__(self) -> Self:
        """Starts everything; if a part fails, stops those that have started.

        Raises:
            FolderInUseError: another process uses the data folder.
            PortTakenError: a selected port is in use.
            ServerStartError: a store or service did not become ready.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(locked(self._folder, await _folder_mode()))
            for folder in (self._logs, self._folder / SECRETS):
                folder.mkdir(mode=0o700, exist_ok=True)
                tighten(folder, 0o700)
            ensure_data_key(self._folder)
            plan, ports = self._plan, stack.enter_context(ExitStack())
            self._layout = Layout.take(ports, plan.grpc_port, plan.rest_port, plan.workers, plan.engines)
            await self._start_stores(stack)
            self._token = await _prepare_database(self._postgres, self._folder)
            stack.push_async_callback(self._stop_services)
            await self._start_services()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the workers, then the engines, the scheduler, the gateway and the stores."""
        await self._stack.aclose()

    def describe(self) -> dict[str, Any]:
        """Addresses, paths and pids, as printed by `ordinaut up --json`; with the admin token and Valkey's password."""
        return {
            "grpc": self._layout.grpc.address,
            "rest": f"http://{self._layout.rest.address}",
            "token": self._token,
            "data_dir": str(self._folder),
            "database_url": self._postgres.services_url,
            "redis_url": self._valkey.url,
            "metrics": {
                name: [f"http://{replica.metrics.address}/metrics" for replica in self._layout.of(name)]
                for name in reversed(STOP_ORDER)
            },
            "pids": {
                name: [supervisor.pid for supervisor in supervisors] for name, supervisors in self._supervisors.items()
            },
        }

    async def _start_stores(self, stack: AsyncExitStack) -> None:
        await _run_concurrently(
            stack.enter_async_context(self._postgres),
            stack.enter_async_context(self._valkey),
            asyncio.to_thread(importlib.import_module, DATABASE_MODULE),
        )
        self._watch(stack, "postgres", self._postgres)
        self._watch(stack, "valkey", self._valkey)

    def _watch(self, stack: AsyncExitStack, name: str, store: RestartableServer) -> None:
        supervisor = Supervisor(name, store)
        supervisor.watch()
        stack.push_async_callback(supervisor.stop)
        self._supervisors[name] = [supervisor]

    async def _start_services(self) -> None:
        shared = shared_environment(self._layout, self._folder, self._postgres.services_url, self._valkey.url)
        services = [self._service(shared, replica) for replica in self._layout.replicas]
        for service in services:
            self._supervisors.setdefault(service.name, []).append(Supervisor(service.name, service))
        await _run_concurrently(*(service.launch() for service in services))
        for name in STOP_ORDER:
            for supervisor in self._supervisors[name]:
                supervisor.watch()

    def _service(self, shared: dict[str, str], replica: Replica) -> Service:
        log = None if self._plan.verbose else self._logs / f"{replica.service}-{replica.number}.log"
        grace = float(os.environ.get("ORDINAUT_GRACE_SECONDS", GRACE_SECONDS))
        return Service(replica.service, replica_environment(shared, self._layout, replica), log, grace)

    async def _stop_services(self) -> None:
        for name in STOP_ORDER:
            await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors.get(name, [])))


async def _folder_mode() -> int:
    """The rights of the data folder; user nobody, as which PostgreSQL may run for root, must reach its own folder."""
    return 0o711 if await identity_for_postgres() == "nobody" else 0o700


async def _prepare_database(postgres: EmbeddedPostgres, folder: Path) -> str:
    from ordinaut.embedded.database import prepare_database  # noqa: PLC0415 - see DATABASE_MODULE
    from ordinaut.store.schema_owner import give_schema  # noqa: PLC0415 - for the same reason

    await give_schema(postgres.url, SERVICES_USER)
    return await prepare_database(postgres.services_url, folder)


async def _run_concurrently(*work: Coroutine[Any, Any, Any]) -> None:
    """Runs all concurrently; the first failure cancels the others and is raised without a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for task in work:
                group.create_task(task)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
