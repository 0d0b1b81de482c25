"""Runs a worker: `python -m worker`."""

import asyncio

from ordinaut.internal.v1.worker_service_pb2_grpc import add_WorkerServiceServicer_to_server
from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from ordinaut.rpc.server import Registration, Server, internal_guard
from ordinaut.rpc.service_process import Process, run
from ordinaut.settings import read_settings
from ordinaut.store.database import Database
from ordinaut.store.migrate import check_schema
from worker.service import WorkerService
from worker.settings import WorkerSettings
from worker.worker import Worker


async def compose(process: Process, settings: WorkerSettings) -> None:
    """Starts the parts of a worker; they are stopped in reverse order."""
    guard = internal_guard(settings.internal_token, settings.worker_listen)
    database = await Database.open(settings)
    process.stack.push_async_callback(database.close)
    async with database.connection() as connection:
        await check_schema(connection)
    worker = Worker(database, settings)
    server = Server(
        [
            Registration(
                add_WorkerServiceServicer_to_server, WorkerService(worker.drain), "ordinaut.internal.v1.WorkerService"
            )
        ],
        guard,
        max_message_bytes=MAX_INTERNAL_MESSAGE_BYTES,
    )
    host = settings.worker_listen.rpartition(":")[0]
    process.ports["grpc"] = await server.start(settings.worker_listen)
    process.stack.push_async_callback(server.stop, 1.0)
    await worker.start(f"{host}:{process.ports['grpc']}")
    process.stack.push_async_callback(worker.stop)
    process.watch(asyncio.create_task(worker.failed()))


def main() -> None:
    """Reads the settings and runs until stopped by a signal."""
    settings = read_settings(WorkerSettings)
    run("worker", settings, settings.worker_metrics_port, lambda process: compose(process, settings))


if __name__ == "__main__":
    main()
