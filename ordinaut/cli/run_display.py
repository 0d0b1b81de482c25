"""Displays runs: a live table in a terminal, one line per change otherwise."""

from collections.abc import AsyncIterator, Awaitable, Callable

import typer
from rich.console import Group
from rich.live import Live

from ordinaut.cli.output import STATE_STYLES, echo, elapsed, local_time, print_json, styled, table_of
from ordinaut.cli.session import Session, interactive
from ordinaut.client import Client
from ordinaut.v1.run_pb2 import Run, RunError, StepRun, Wait

COLUMNS = ("STEP", "STATE", "TRY", "TOOK", "TOOL", "")


async def follow(client: Client, name: str, *, as_json: bool) -> Run:
    """Displays a run until it has ended.

    Returns:
        The ended run.

    Raises:
        ApiError: the run does not exist, or the gateway has not answered for a minute.
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
            live.update(render(run))
    return run


async def _lines(runs: AsyncIterator[Run]) -> Run:
    run = Run()
    printed: set[str] = set()
    async for run in runs:
        for line in lines(run):
            if line not in printed:
                printed.add(line)
                echo(line)
    return run


def render(run: Run) -> Group:
    """The current state of the run, for a terminal."""
    state = Run.State.Name(run.state)
    title = styled((run.name, "bold"), "  ", (state, STATE_STYLES.get(state, "")), "  ")
    title.append(elapsed(run.start_time, run.end_time), "dim")
    rows = [
        (
            step.path,
            StepRun.State.Name(step.state),
            str(step.attempt),
            elapsed(step.start_time, step.end_time),
            step.tool,
            error_summary(step.error),
        )
        for step in run.steps
    ]
    parts: list[object] = [title, table_of(COLUMNS, rows), *(styled((wait_summary(wait), "dim")) for wait in run.waits)]
    if run.error.code:
        parts.append(styled((error_summary(run.error), "red")))
    return Group(*parts)  # type: ignore[arg-type]  # all of them are renderable


def lines(run: Run) -> list[str]:
    """One line for each recorded step and wait, then one for the state of the run."""
    steps = [
        f"{step.path} {StepRun.State.Name(step.state)} try {step.attempt} {elapsed(step.start_time, step.end_time)}"
        + (f" {error_summary(step.error)}" if step.error.code else "")
        for step in run.steps
        if step.state != StepRun.WAITING
    ]
    error = f" {error_summary(run.error)}" if run.error.code else ""
    return [*steps, *map(wait_summary, run.waits), f"{run.name} {Run.State.Name(run.state)}{error}"]


def wait_summary(wait: Wait) -> str:
    """One line about a waiting step: what it waits for, and until when."""
    what = wait.topic or wait.approval or wait.run
    reason = f" for {what}" if what else ""
    end = f" until {local_time(wait.deadline)}" if wait.HasField("deadline") else ""
    return f"{wait.step} WAITING{reason}{end}"


def error_summary(error: RunError) -> str:
    """Code and message of an error; empty if unset."""
    return f"{error.code}: {error.message}" if error.code else ""


def show_started(session: Session, start: Callable[[Client], Awaitable[Run]], *, watch: bool) -> None:
    """Starts a run and prints its name; with `watch`, displays it until it has ended.

    Raises:
        typer.Exit: 1 if the watched run did not succeed.
    """

    async def work(client: Client) -> Run:
        run = await start(client)
        return await follow(client, run.name, as_json=session.as_json) if watch else run

    run = session.call(work)
    if watch:
        if run.state != Run.SUCCEEDED:
            raise typer.Exit(1)
    elif session.as_json:
        print_json(run)
    else:
        echo(run.name)
