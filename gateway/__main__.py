"""The gateway process: `python -m gateway`."""

from gateway.gateway import open_gateway
from gateway.rest import application, serving
from gateway.settings import GatewaySettings
from ordinaut.rpc.service_process import Process, run


def main() -> None:
    """Serves gRPC and HTTP until told to stop."""
    settings = GatewaySettings()

    async def compose(process: Process) -> None:
        gateway = await open_gateway(process, settings)
        rest = serving(application(gateway.components), settings.rest_listen)
        process.ports["rest"] = await process.stack.enter_async_context(rest)
        process.ports["grpc"] = await gateway.server.start(settings.gateway_listen)
        process.stack.push_async_callback(gateway.stop, settings.grace_seconds)

    run("gateway", settings, settings.gateway_metrics_port, compose)


if __name__ == "__main__":
    main()
