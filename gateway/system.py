# ruff: noqa: N802 - methods are named by the contract
"""SystemService: the state of the installation, for operators."""

from importlib.metadata import version

from gateway.api.json_values import duration, timestamp
from gateway.health import Health
from ordinaut.rpc.interceptor import Context
from ordinaut.store import system
from ordinaut.store.database import Database
from ordinaut.store.queue import due_work_claim
from ordinaut.store.system import WorkerRecord
from ordinaut.v1.system_pb2 import Worker
from ordinaut.v1.system_service_pb2 import (
    GetStatusRequest,
    GetStatusResponse,
    ListWorkersRequest,
    ListWorkersResponse,
)
from ordinaut.v1.system_service_pb2_grpc import SystemServiceServicer

STATES = ("READY", "LEASED", "DELAYED", "BLOCKED", "WAITING")


class System(SystemServiceServicer):
    """Implements SystemService."""

    def __init__(self, database: Database, health: Health) -> None:
        self._database = database
        self._health = health
        self._version = version("ordinaut")

    async def GetStatus(self, request: GetStatusRequest, context: Context) -> GetStatusResponse:
        """Returns queue depths, delays, and the health of the components."""
        components = await self._health.check()
        async with self._database.connection() as connection:
            status = await system.status(connection)
            depths = {depth.state: depth for depth in await due_work_claim.depth_by_state(connection)}
        response = GetStatusResponse(
            version=self._version,
            schema_version=status.schema_version,
            time=timestamp(status.now),
            due_work={state: depths[state].rows if state in depths else 0 for state in STATES},
            fire_lag=duration(status.fire_lag),
            outbox_backlog=status.outbox_backlog,
            last_position=status.last_position,
            components=components,
            workers=status.workers,
        )
        ready = depths.get("READY")
        if ready is not None and ready.oldest is not None:
            response.oldest_ready_age.CopyFrom(duration(ready.oldest))
        return response

    async def ListWorkers(self, request: ListWorkersRequest, context: Context) -> ListWorkersResponse:
        """Lists the worker processes with a live lease."""
        async with self._database.connection() as connection:
            return ListWorkersResponse(workers=map(_to_worker, await system.workers(connection)))


def _to_worker(record: WorkerRecord) -> Worker:
    return Worker(
        name=f"workers/{record.id}",
        host=record.host,
        address=record.address,
        start_time=timestamp(record.start_time),
        lease_expire_time=timestamp(record.expire_time),
        leased_runs=record.leased_runs,
        draining=record.draining,
    )
