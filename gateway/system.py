# ruff: noqa: N802 - methods are named by the contract
"""SystemService: the state of the installation, for operators."""

from importlib.metadata import version

from gateway.admission.door import Door
from gateway.admission.report import quota_usage
from gateway.api.json_values import duration, timestamp
from gateway.authentication.caller import current_caller
from gateway.health import Health
from ordinaut.rpc.interceptor import Context
from ordinaut.store import system
from ordinaut.store.database import Database
from ordinaut.store.queue import due_work_claim
from ordinaut.store.system import LateTaskRecord, WorkerRecord
from ordinaut.v1.system_pb2 import Worker
from ordinaut.v1.system_service_pb2 import (
    GetStatusRequest,
    GetStatusResponse,
    LateTask,
    ListWorkersRequest,
    ListWorkersResponse,
)
from ordinaut.v1.system_service_pb2_grpc import SystemServiceServicer

LATE_TASKS_MAX = 20
STATES = ("READY", "LEASED", "DELAYED", "BLOCKED", "WAITING")


class System(SystemServiceServicer):
    """Implements SystemService."""

    def __init__(self, database: Database, health: Health, door: Door) -> None:
        self._door = door
        self._database = database
        self._health = health
        self._version = version("ordinaut")

    async def GetStatus(self, request: GetStatusRequest, context: Context) -> GetStatusResponse:
        """Returns queue depths, delays, late tasks, and the health of the components."""
        caller, components = current_caller(), await self._health.check()
        async with self._database.connection() as connection:
            status = await system.status(connection, caller.project)
            depths = {depth.state: depth for depth in await due_work_claim.depth_by_state(connection, caller.project)}
            late = await system.late_tasks(
                connection, project=caller.project, owner=caller.owner_filter, size=LATE_TASKS_MAX
            )
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
            late_tasks=map(_to_late_task, late),
        )
        response.quotas.extend(await quota_usage(self._door, self._database, caller))
        ready = depths.get("READY")
        if ready is not None and ready.oldest is not None:
            response.oldest_ready_age.CopyFrom(duration(ready.oldest))
        return response

    async def ListWorkers(self, request: ListWorkersRequest, context: Context) -> ListWorkersResponse:
        """Lists the worker processes with a live lease."""
        async with self._database.connection() as connection:
            records = await system.workers(connection, current_caller().project)
        return ListWorkersResponse(workers=map(_to_worker, records))


def _to_late_task(record: LateTaskRecord) -> LateTask:
    late = LateTask(task=f"tasks/{record.name or record.uid}", reason=LateTask.Reason.Value(record.reason))
    if record.due_time is not None and record.delay is not None:
        late.due_time.CopyFrom(timestamp(record.due_time))
        late.delay.CopyFrom(duration(record.delay))
    return late


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
