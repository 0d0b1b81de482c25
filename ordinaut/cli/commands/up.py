"""`ordinaut up`: runs the complete system on this machine until Ctrl-C."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordinaut.cli.output import echo, print_json, print_table
from ordinaut.cli.session import interactive, session_of

if TYPE_CHECKING:
    from ordinaut.embedded.system import Plan, System

PORT_MAX = 65535
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    context: typer.Context,
    data_dir: Annotated[Path, typer.Option(help="Data folder.")] = Path(".ordinaut"),
    grpc_port: Annotated[
        int | None, typer.Option(min=0, max=PORT_MAX, help="gRPC port; 0: any free port (default: 50051 if free).")
    ] = None,
    rest_port: Annotated[
        int | None, typer.Option(min=0, max=PORT_MAX, help="REST port; 0: any free port (default: 8080 if free).")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Number of worker processes.")] = 1,
    engines: Annotated[int, typer.Option(min=1, max=32, help="Number of pipeline engine processes.")] = 1,
    verbose: Annotated[
        bool, typer.Option(help="Write the logs of the services to standard error instead of DATA_DIR/logs.")
    ] = False,
) -> None:
    """Run PostgreSQL, Valkey and the four services on this machine until Ctrl-C; restarts processes that exit."""
    from ordinaut.embedded.system import Plan  # noqa: PLC0415 - needs the server packages
    from ordinaut.telemetry import configure_logging  # noqa: PLC0415

    configure_logging("up", "pretty" if interactive() else "json", "info" if verbose else "warning")
    plan = Plan(data_dir, grpc_port, rest_port, workers, engines, verbose)
    asyncio.run(_run_system(plan, as_json=session_of(context).as_json))


async def _run_system(plan: "Plan", *, as_json: bool) -> None:
    from ordinaut.embedded.system import System  # noqa: PLC0415

    system = System(plan)
    stop = _stop_signal()
    starting = asyncio.create_task(system.__aenter__())
    await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()  # stops the parts that have started
    with suppress(asyncio.CancelledError):
        await starting
        await _serve(system, stop, as_json=as_json)


def _stop_signal() -> "asyncio.Task[bool]":
    """A task that ends when this process receives a stop signal."""
    stopping = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return asyncio.create_task(stopping.wait())


async def _serve(system: "System", stop: "asyncio.Task[bool]", *, as_json: bool) -> None:
    try:
        _announce(system.describe(), as_json=as_json)
        await stop
        if not as_json:
            echo("stopping …")
    finally:
        await system.__aexit__(None, None, None)


def _announce(described: dict[str, Any], *, as_json: bool) -> None:
    with suppress(BrokenPipeError):  # the reader of the pipe has exited; continue to serve
        if as_json:
            print_json(described)
            return
        rows = [
            ("gRPC", described["grpc"]),
            ("REST", described["rest"]),
            ("data", described["data_dir"]),
            ("token", f"{described['data_dir']}/admin.token"),
            *((name, " ".join(map(str, pids))) for name, pids in described["pids"].items()),
        ]
        print_table(("ORDINAUT", "is running; press Ctrl-C to stop"), rows, "")
        echo(f"export ORDINAUT_ADDRESS={described['grpc']} ORDINAUT_TOKEN=$(cat {described['data_dir']}/admin.token)")
