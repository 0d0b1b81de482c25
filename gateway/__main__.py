"""The gateway process: `python -m gateway`."""

from gateway.rest.server import serve_rest
from gateway.server import open_gateway
from gateway.settings import GatewaySettings
from ordinaut.rpc.service_process import Process, run
from ordinaut.settings import read_settings


def main() -> None:
    """Serves gRPC and HTTP until the process is asked to stop."""
    settings = read_settings(GatewaySettings)

    async def compose(process: Process) -> None:
        gateway = await open_gateway(process, settings)
        process.ports["grpc"] = await gateway.listen(settings.gateway_listen)
        rest = serve_rest(gateway, settings.rest_listen)
        process.ports["rest"] = await process.stack.enter_async_context(rest)
        process.stack.push_async_callback(gateway.stop, settings.grace_seconds)

    run("gateway", settings, settings.gateway_metrics_port, compose)


if __name__ == "__main__":
    main()
