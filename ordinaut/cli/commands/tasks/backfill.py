"""`ordinaut task backfill`: runs the occurrences of a past time range."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.progress import Progress

from ordinaut.cli.output import echo, local_time, print_details, print_json, print_table
from ordinaut.cli.pagination import collect
from ordinaut.cli.parameters import parse_message, parse_pairs
from ordinaut.cli.session import Session, interactive, session_of, with_prefix
from ordinaut.client import Client
from ordinaut.client.retry import RetryPolicy, with_retries
from ordinaut.v1 import task_service_pb2 as requests
from ordinaut.v1.backfill_pb2 import Backfill

app = typer.Typer(no_args_is_help=True, help="Run the occurrences of a past time range; inspect and cancel backfills.")
Task = Annotated[str, typer.Argument(help="Task: `my-task` or `tasks/my-task`.")]
Name = Annotated[str, typer.Argument(help="Backfill: `my-task/backfills/ID` or `tasks/my-task/backfills/ID`.")]
COLUMNS = ("BACKFILL", "STATE", "AFTER", "UNTIL", "REPROCESS", "DONE", "FAILED")
ENDED = frozenset({Backfill.COMPLETED, Backfill.CANCELLED})
POLL_SECONDS = 0.5  # between two progress requests


@app.command("start")
def start(
    context: typer.Context,
    task: Task,
    after: Annotated[str, typer.Option(help="Start of the time range, exclusive (RFC 3339).")],
    until: Annotated[str, typer.Option(help="End of the time range, inclusive, RFC 3339 (default: now).")] = "",
    own_id: Annotated[str, typer.Option("--id", help="Backfill id (default: generated).")] = "",
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Run the newest occurrences first.")] = False,
    reprocess: Annotated[
        str, typer.Option(help="NONE: only occurrences without a run; FAILED: also failed ones; ALL: all.")
    ] = "NONE",
    parallelism: Annotated[int, typer.Option(min=1, help="Maximum number of live runs.")] = 4,
    priority: Annotated[int, typer.Option(min=1, max=9, help="Priority of the runs: 1 (most urgent) to 9.")] = 9,
    param: Annotated[
        list[str] | None,
        typer.Option(help="Parameter key=value that overrides the task; the value is JSON or text. Repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the occurrences that would run; create nothing.")
    ] = False,
    watch: Annotated[
        bool, typer.Option(help="Display the progress until the end; exit code 1 if a run does not succeed.")
    ] = False,
) -> None:
    """Run the occurrences that were due in a past time range."""
    session = session_of(context)
    fields: dict[str, Any] = {
        "after_time": after,
        "order": "NEWEST_FIRST" if newest_first else "OLDEST_FIRST",
        "reprocess": reprocess.upper(),
        "parallelism": parallelism,
        "priority": priority,
        **({"until_time": until} if until else {}),
        **({"params": parse_pairs(param)} if param else {}),
    }
    document = {"parent": with_prefix("tasks", task), "backfill": fields, "backfill_id": own_id}
    request = parse_message({**document, "validate_only": dry_run}, requests.CreateBackfillRequest(), "")
    created: Backfill = session.call(lambda client: client.tasks.CreateBackfill(request))
    if watch and not dry_run:
        _watch(session, created.name)
    elif session.as_json:
        print_json(created)
    elif dry_run:
        _print_dry_run(created)
    else:
        echo(f"{created.name} {_progress(created)}")


@app.command("list")
def list_backfills(
    context: typer.Context,
    task: Task,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of results.")] = 50,
) -> None:
    """List the backfills of a task, newest first."""
    session = session_of(context)

    async def work(client: Client) -> list[Backfill]:
        async def page(size: int, token: str) -> tuple[list[Any], str]:
            request = requests.ListBackfillsRequest(parent=with_prefix("tasks", task), page_size=size, page_token=token)
            answer = await client.tasks.ListBackfills(request)
            return list(answer.backfills), answer.next_page_token

        return await collect(limit, page)

    backfills = session.call(work)
    if session.as_json:
        print_json(requests.ListBackfillsResponse(backfills=backfills))
    else:
        print_table(COLUMNS, map(_row, backfills), "no backfills")


@app.command("get")
def get_backfill(context: typer.Context, name: Name) -> None:
    """Print one backfill with its progress."""
    session = session_of(context)
    request = requests.GetBackfillRequest(name=with_prefix("tasks", name))
    backfill = session.call(lambda client: client.tasks.GetBackfill(request))
    (print_json if session.as_json else print_details)(backfill)


@app.command("watch")
def watch_backfill(context: typer.Context, name: Name) -> None:
    """Display the progress of a backfill until it has ended. Exit code 1 if a run does not succeed."""
    _watch(session_of(context), with_prefix("tasks", name))


@app.command("cancel")
def cancel_backfill(
    context: typer.Context,
    name: Name,
    runs: Annotated[bool, typer.Option("--runs", help="Also cancel its live runs.")] = False,
    reason: Annotated[str, typer.Option(help="Reason, stored with the backfill.")] = "",
) -> None:
    """Cancel a backfill; its live runs continue unless --runs is set."""
    session = session_of(context)
    request = requests.CancelBackfillRequest(name=with_prefix("tasks", name), cancel_runs=runs, reason=reason)
    stopped = session.call(lambda client: client.tasks.CancelBackfill(request))
    print_json(stopped) if session.as_json else echo(f"{stopped.name} {_progress(stopped)}")


def _watch(session: Session, name: str) -> None:
    last: Backfill = session.call(lambda client: _follow(client, name, as_json=session.as_json))
    if last.state != Backfill.COMPLETED or last.succeeded < last.enqueued:
        raise typer.Exit(1)


async def _follow(client: Client, name: str, *, as_json: bool) -> Backfill:
    last = Backfill()
    if interactive() and not as_json:
        bars = Progress()
        bar = bars.add_task(name)
        with Live(bars, refresh_per_second=10):
            async for last in _changes(client, name):
                bars.update(bar, total=last.total, completed=_done(last), description=f"{name} {_progress(last)}")
        return last
    async for last in _changes(client, name):
        print_json(last) if as_json else echo(f"{name} {_progress(last)}")
    return last


async def _changes(client: Client, name: str) -> AsyncIterator[Backfill]:
    """Yields the backfill now and after each change, until it and its runs have ended."""
    request, last = requests.GetBackfillRequest(name=name), None
    while True:
        backfill = await with_retries(lambda: client.tasks.GetBackfill(request), RetryPolicy())
        if backfill != last:
            yield backfill
        if backfill.state in ENDED and _done(backfill) == backfill.enqueued + backfill.skipped:
            return
        last = backfill
        await asyncio.sleep(POLL_SECONDS)


def _done(backfill: Backfill) -> int:
    return backfill.succeeded + backfill.failed + backfill.cancelled + backfill.skipped


def _progress(backfill: Backfill) -> str:
    counted = {"succeeded": backfill.succeeded, "failed": backfill.failed, "cancelled": backfill.cancelled}
    counted["skipped"] = backfill.skipped
    details = "".join(f", {count} {name}" for name, count in counted.items() if count)
    return f"{Backfill.State.Name(backfill.state)} {_done(backfill)}/{backfill.total}{details}"


def _print_dry_run(backfill: Backfill) -> None:
    echo(f"{backfill.enqueued} of {backfill.total} would run, {backfill.skipped} would not")
    for due in backfill.first_due_times:
        echo(f"  {local_time(due)}")
    if backfill.enqueued > len(backfill.first_due_times):
        echo(f"  and {backfill.enqueued - len(backfill.first_due_times)} more")


def _row(backfill: Backfill) -> tuple[str, ...]:
    return (
        backfill.name,
        Backfill.State.Name(backfill.state),
        local_time(backfill.after_time),
        local_time(backfill.until_time),
        Backfill.Reprocess.Name(backfill.reprocess),
        f"{_done(backfill)}/{backfill.total}",
        str(backfill.failed),
    )
