"""The lifecycle of a service process: start, report readiness, run until a signal, shut down."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import uvloop

from ordinaut.settings import Settings
from ordinaut.telemetry import configure_logging, get_logger, serve_metrics


@dataclass
class Process:
    """The argument of a service's `compose`: contexts entered in `stack` are exited in reverse order at shutdown.

    `ports` maps a purpose to a listening port; it is announced once the process is ready.
    """

    stack: AsyncExitStack
    stopping: asyncio.Event
    ports: dict[str, int] = field(default_factory=dict)

    failure: BaseException | None = None

    def watch(self, task: "asyncio.Task[None]") -> None:
        """Stops the process with an error if a background task ends before shutdown."""

        def ended(done: "asyncio.Task[None]") -> None:
            if not done.cancelled() and not self.stopping.is_set():
                self.failure = done.exception() or RuntimeError(f"{done.get_name()} ended")
                self.stopping.set()

        task.add_done_callback(ended)
        self.stack.callback(task.cancel)


Compose = Callable[[Process], Awaitable[None]]


def run(service: str, settings: Settings, metrics_port: int, compose: Compose) -> None:
    """Runs `compose`, announces readiness, and waits for SIGTERM or SIGINT.

    Once ready, it prints one line of JSON to standard output: `{"service": …, "ready": true, "ports": {…}}`, from
    which a supervisor that started the process with port 0 reads the port numbers.
    """
    configure_logging(service, settings.log_format, settings.log_level)
    uvloop.run(_live(service, settings, metrics_port, compose))


async def _live(service: str, settings: Settings, metrics_port: int, compose: Compose) -> None:
    log = get_logger()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        process = Process(stack, stopping)
        port, metrics = serve_metrics(settings.metrics_host, metrics_port)
        stack.callback(metrics.server_close)
        stack.callback(metrics.shutdown)
        process.ports["metrics"] = port
        await compose(process)
        _announce(service, process.ports)
        log.info("ready", ports=process.ports)
        await stopping.wait()
        log.info("stopping")
    log.info("stopped")
    if process.failure is not None:
        raise process.failure


def _announce(service: str, ports: dict[str, int]) -> None:
    try:
        print(json.dumps({"service": service, "ready": True, "ports": ports}), flush=True)  # noqa: T201 - read by the supervisor
    except OSError:  # the reader has closed the pipe; the service continues
        sys.stdout = sys.stderr
