"""`python -m pipeline_engine`: executes pipelines and checks them."""

import asyncio
from pathlib import Path

from ordinaut.clock import ProcessClock
from ordinaut.errors import StartError
from ordinaut.internal.v1.pipeline_engine_service_pb2_grpc import add_PipelineEngineServiceServicer_to_server
from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from ordinaut.rpc.server import Registration, Server, internal_guard
from ordinaut.rpc.service_process import Process, run
from ordinaut.settings import read_settings
from pipeline_engine.data.data_keys import DataKeyError, DataKeys
from pipeline_engine.interpreter.retry import fraction_of
from pipeline_engine.processes.checks import Checks
from pipeline_engine.service import PipelineEngineService
from pipeline_engine.settings import EngineSettings
from pipeline_engine.stream.plan_cache import PlanCache
from pipeline_engine.stream.run_start import EngineContext
from pipeline_engine.tools.egress import Egress, parse_rules
from pipeline_engine.tools.http import HttpTools
from pipeline_engine.tools.retry_after import ToolHolds
from pipeline_engine.tools.secret_files import SecretFiles

DRAIN_SHARE = 0.8  # of the grace period; the rest is for closing the streams
SERVICE = "ordinaut.internal.v1.PipelineEngineService"


def main() -> None:
    """Runs the engine until it receives a signal to stop."""
    settings = read_settings(EngineSettings)

    async def compose(process: Process) -> None:
        egress = Egress(parse_rules(settings.egress_allow), parse_rules(settings.egress_deny))
        secrets = SecretFiles(settings.secrets_dir, settings.unbound_secrets)
        keys = _read_keys(settings.data_key_file)
        clock = ProcessClock()
        holds = ToolHolds(clock.monotonic)
        tools = HttpTools(egress, connections=settings.engine_connections, secrets=secrets, holds=holds)
        process.stack.push_async_callback(tools.close)
        limit = settings.run_outputs_max_bytes
        checks = Checks(keys=keys)
        process.stack.push_async_callback(checks.close)
        context = EngineContext(PlanCache(), tools, checks, clock, fraction_of, limit, holds.remaining, keys)
        service = PipelineEngineService(context, checks, settings.engine_credit)
        server = Server(
            [Registration(add_PipelineEngineServiceServicer_to_server, service, SERVICE)],
            internal_guard(settings.internal_token, settings.engine_listen),
            max_message_bytes=MAX_INTERNAL_MESSAGE_BYTES,
        )
        process.ports["grpc"] = await server.start(settings.engine_listen)

        async def stop() -> None:
            grace = settings.grace_seconds
            await asyncio.gather(server.stop(grace), service.drain(grace * DRAIN_SHARE))

        process.stack.push_async_callback(stop)

    run("pipeline_engine", settings, settings.engine_metrics_port, compose)


def _read_keys(path: Path | None) -> DataKeys | None:
    try:
        return None if path is None else DataKeys.read(path)
    except DataKeyError as failure:
        raise StartError(str(failure)) from None


if __name__ == "__main__":
    main()
