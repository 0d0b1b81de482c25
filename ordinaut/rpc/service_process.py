"""The lifecycle of a service process: start, report readiness, run until a signal, shut down."""

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import uvloop

from ordinaut.errors import OrdinautError, StartError
from ordinaut.rpc.loop_watchdog import watch_loop
from ordinaut.settings import Settings
from ordinaut.telemetry import configure_logging, get_logger, serve_metrics

COLLECTION_THRESHOLDS = 50_000, 50, 100
"""Objects more than at the last collection, and collections of one generation before one of the next."""


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

    Raises:
        SystemExit: the process cannot start for a reason that its operator can remove, in one line.
    """
    configure_logging(service, settings.log_format, settings.log_level)
    try:
        uvloop.run(_live(service, settings, metrics_port, compose))
    except StartError as failure:
        raise SystemExit(f"ordinaut: the {service} cannot start: {failure}") from None


async def _live(service: str, settings: Settings, metrics_port: int, compose: Compose) -> None:
    log = get_logger()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        stack.callback(watch_loop(loop))
        process = Process(stack, stopping)
        try:
            _serve_metrics(process, settings.metrics_host, metrics_port)
            await compose(process)
        except (OSError, OrdinautError) as failure:
            raise StartError(str(failure)) from failure
        _spare_collections()
        _announce(service, process.ports)
        log.info("ready", ports=process.ports)
        await stopping.wait()
        log.info("stopping")
    log.info("stopped")
    if process.failure is not None:
        raise process.failure


def _spare_collections() -> None:
    """Takes what exists at the start out of garbage collection, and collects seldom.

    A service has many live objects and few cycles: with the defaults of Python each few hundred calls of tools walk all
    of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)


def _serve_metrics(process: Process, host: str, metrics_port: int) -> None:
    try:
        process.ports["metrics"], metrics = serve_metrics(host, metrics_port)
    except OSError as failure:
        raise StartError(f"cannot serve metrics on {host}:{metrics_port}: {failure.strerror}") from failure
    process.stack.callback(metrics.server_close)
    process.stack.callback(metrics.shutdown)


def _announce(service: str, ports: dict[str, int]) -> None:
    try:
        print(json.dumps({"service": service, "ready": True, "ports": ports}), flush=True)  # noqa: T201 - read by the supervisor
    except OSError:  # the reader has closed the pipe; the service continues
        sys.stdout = sys.stderr
