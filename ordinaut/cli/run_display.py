"""A run as it happens: a table that changes in a terminal, a line per change elsewhere."""

from collections.abc import AsyncIterator

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from ordinaut.cli.output import COLOURS, lasted, moment, print_json, table_of
from ordinaut.cli.session import interactive
from ordinaut.client import Client
from ordinaut.v1.run_pb2 import Run, RunError, StepRun, Wait

COLUMNS = ("STEP", "STATE", "TRY", "TOOK", "TOOL", "")


async def follow(client: Client, name: str, *, as_json: bool) -> Run:
    """Shows a run until it has ended.

    Returns:
        The run as it ended.

    Raises:
        ApiError: there is no such run, or nothing answered for a minute.
    """
    runs = client.watch_run(name)
    if as_json:
        return await _each(runs)
    return await _table(runs) if interactive() else await _lines(runs)


async def _each(runs: AsyncIterator[Run]) -> Run:
    run = Run()
    async for run in runs:
        print_json(run)
    return run


async def _table(runs: AsyncIterator[Run]) -> Run:
    run = Run()
    with Live(refresh_per_second=10) as live:
        async for run in runs:
            live.update(picture(run))
    return run


async def _lines(runs: AsyncIterator[Run]) -> Run:
    run = Run()
    shown: set[str] = set()
    async for run in runs:
        for line in lines(run):
            if line not in shown:
                shown.add(line)
                typer.echo(line)
    return run


def picture(run: Run) -> Group:
    """The run as it is now, for a terminal."""
    state = Run.State.Name(run.state)
    title = Text.assemble((run.name, "bold"), "  ", (state, COLOURS.get(state, "")), "  ")
    title.append(lasted(run.start_time, run.end_time), "dim")
    rows = [
        (
            step.path,
            StepRun.State.Name(step.state),
            str(step.attempt),
            lasted(step.start_time, step.end_time),
            step.tool,
            in_short(step.error),
        )
        for step in run.steps
    ]
    parts: list[object] = [title, table_of(COLUMNS, rows), *(Text(waits_in_short(wait), "dim") for wait in run.waits)]
    if run.error.code:
        parts.append(Text(in_short(run.error), "red"))
    return Group(*parts)  # type: ignore[arg-type]  # all of them can be rendered


def lines(run: Run) -> list[str]:
    """What is known about the run so far: a line for each finished step and each wait, then the run's own state."""
    found = [
        f"{step.path} {StepRun.State.Name(step.state)} try {step.attempt} {lasted(step.start_time, step.end_time)}"
        + (f" {in_short(step.error)}" if step.error.code else "")
        for step in run.steps
        if step.state != StepRun.WAITING
    ]
    error = f" {in_short(run.error)}" if run.error.code else ""
    return [*found, *map(waits_in_short, run.waits), f"{run.name} {Run.State.Name(run.state)}{error}"]


def waits_in_short(wait: Wait) -> str:
    """What a step waits for, in one line."""
    what = wait.topic or wait.approval or wait.run
    reason = f" for {what}" if what else ""
    end = f" until {moment(wait.deadline)}" if wait.HasField("deadline") else ""
    return f"{wait.step} WAITING{reason}{end}"


def in_short(error: RunError) -> str:
    """An error in one line; empty when there is none."""
    return f"{error.code}: {error.message}" if error.code else ""
