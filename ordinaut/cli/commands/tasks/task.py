"""`ordinaut task`: manages tasks."""

from typing import Annotated, Any

import typer

from ordinaut.cli.commands.tasks import backfill
from ordinaut.cli.commands.tasks.apply import print_task
from ordinaut.cli.commands.tasks.apply_files import apply_files
from ordinaut.cli.commands.tasks.check import check
from ordinaut.cli.commands.tasks.explain import explain
from ordinaut.cli.commands.tasks.simulate import simulate
from ordinaut.cli.output import UsageError, echo, local_time, print_details, print_json, print_table
from ordinaut.cli.pagination import collect
from ordinaut.cli.parameters import parse_message, parse_pairs
from ordinaut.cli.run_display import show_started
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.v1 import task_service_pb2 as requests
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.schedule_pb2 import Trigger
from ordinaut.v1.task_pb2 import Task

app = typer.Typer(no_args_is_help=True, help="Create, inspect, run and pause tasks.")
app.add_typer(backfill.app, name="backfill")
app.command("apply")(apply_files)
app.command("simulate")(simulate)
app.command("explain")(explain)
app.command("check")(check)
Name = Annotated[str, typer.Argument(help="Task: `my-task` or `tasks/my-task`.")]
OCCURRENCE_COLUMNS = ("DUE", "OUTCOME", "COUNT", "RUN", "REASON")
COLUMNS = ("TASK", "STATE", "VERSION", "SCHEDULE", "DISPLAY NAME")


@app.command("list")
def list_tasks(
    context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="Maximum number of results.")] = 100
) -> None:
    """List tasks, ordered by name."""
    session = session_of(context)

    async def work(client: Client) -> list[Task]:
        async def page(size: int, token: str) -> tuple[list[Any], str]:
            answer = await client.tasks.ListTasks(requests.ListTasksRequest(page_size=size, page_token=token))
            return list(answer.tasks), answer.next_page_token

        return await collect(limit, page)

    tasks = session.call(work)
    if session.as_json:
        print_json(requests.ListTasksResponse(tasks=tasks))
    else:
        print_table(COLUMNS, map(_row, tasks), "no tasks")


@app.command("get")
def get_task(context: typer.Context, name: Name) -> None:
    """Print one task with its next times."""
    session = session_of(context)
    request = requests.GetTaskRequest(name=with_prefix("tasks", name))
    task = session.call(lambda client: client.tasks.GetTask(request))
    (print_json if session.as_json else print_details)(task)


@app.command("run")
def run_task(
    context: typer.Context,
    name: Name,
    param: Annotated[
        list[str] | None,
        typer.Option(help="Parameter key=value that overrides the task; the value is JSON or text. Repeatable."),
    ] = None,
    watch: Annotated[
        bool, typer.Option(help="Display the run until it has ended; exit code 1 if it does not succeed.")
    ] = False,
) -> None:
    """Start a run now, independent of the schedule."""
    session = session_of(context)
    document: dict[str, Any] = {"name": with_prefix("tasks", name)}
    if param:
        document["params"] = parse_pairs(param)
    request = parse_message(document, requests.RunTaskRequest(), "")
    show_started(session, lambda client: client.tasks.RunTask(request), watch=watch)


@app.command("pause")
def pause_task(
    context: typer.Context, name: Name, reason: Annotated[str, typer.Option(help="Reason, stored with the task.")] = ""
) -> None:
    """Pause a task: it does not fire until it is resumed."""
    request = requests.PauseTaskRequest(name=with_prefix("tasks", name), reason=reason)
    _print_state(context, lambda client: client.tasks.PauseTask(request))


@app.command("resume")
def resume_task(
    context: typer.Context,
    name: Name,
    run_newest: Annotated[
        bool, typer.Option("--run-newest", help="Run the most recent occurrence that was due during the pause.")
    ] = False,
) -> None:
    """Resume a paused task."""
    request = requests.ResumeTaskRequest(name=with_prefix("tasks", name), run_newest=run_newest)
    _print_state(context, lambda client: client.tasks.ResumeTask(request))


@app.command("skip")
def skip_occurrence(
    context: typer.Context,
    name: Name,
    occurrence: Annotated[
        str, typer.Argument(help="Id of a future occurrence, as printed by `task get` (e.g. 20261025T003000Z).")
    ],
    reason: Annotated[str, typer.Option(help="Reason, stored with the occurrence.")] = "",
) -> None:
    """Skip a future occurrence."""
    session = session_of(context)
    request = requests.SkipOccurrenceRequest(name=with_prefix("tasks", name), occurrence=occurrence, reason=reason)
    skipped = session.call(lambda client: client.tasks.SkipOccurrence(request))
    print_json(skipped) if session.as_json else echo(f"{skipped.name} SKIPPED")


@app.command("snooze")
def snooze_task(
    context: typer.Context,
    name: Name,
    delay: Annotated[str, typer.Option("--for", help="Delay (e.g. 10m, 1h30m).")] = "",
    until: Annotated[str, typer.Option(help="New start time, RFC 3339; instead of --for.")] = "",
) -> None:
    """Postpone the next occurrence."""
    if bool(delay) == bool(until):
        raise UsageError("exactly one of --for and --until is required")
    session = session_of(context)
    chosen = {"delay": delay} if delay else {"until_time": until}
    request = parse_message({"name": with_prefix("tasks", name), **chosen}, requests.SnoozeTaskRequest(), "")
    task: Task = session.call(lambda client: client.tasks.SnoozeTask(request))
    print_json(task) if session.as_json else print_task(task, "snoozed")


@app.command("occurrences")
def list_occurrences(
    context: typer.Context,
    name: Name,
    outcome: Annotated[
        str, typer.Option(help="Only occurrences with this outcome (e.g. ENQUEUED, MISSED, EXCLUDED).")
    ] = "",
    since: Annotated[str, typer.Option(help="Only occurrences at or after this time (RFC 3339).")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of results.")] = 50,
) -> None:
    """List the occurrences of a task and their outcomes, newest first."""
    session = session_of(context)
    parts = [f"outcome = {outcome.upper()}"] if outcome else []
    parts += [f'time >= "{since}"'] if since else []
    request = requests.ListOccurrencesRequest(parent=with_prefix("tasks", name), filter=" AND ".join(parts))

    async def work(client: Client) -> list[Occurrence]:
        async def page(size: int, token: str) -> tuple[list[Any], str]:
            request.page_size, request.page_token = size, token
            answer = await client.tasks.ListOccurrences(request)
            return list(answer.occurrences), answer.next_page_token

        return await collect(limit, page)

    occurrences = session.call(work)
    if session.as_json:
        print_json(requests.ListOccurrencesResponse(occurrences=occurrences))
    else:
        print_table(OCCURRENCE_COLUMNS, map(_occurrence, occurrences), "no occurrences")


@app.command("delete")
def delete_task(context: typer.Context, name: Name) -> None:
    """Delete a task and cancel its live runs; its history is kept."""
    session = session_of(context)
    request = requests.DeleteTaskRequest(name=with_prefix("tasks", name))
    session.call(lambda client: client.tasks.DeleteTask(request))
    print_json({}) if session.as_json else echo(f"{request.name} deleted")


def _print_state(context: typer.Context, work: Any) -> None:
    session = session_of(context)
    task: Task = session.call(work)
    print_json(task) if session.as_json else echo(f"{task.name} {Task.State.Name(task.state)}")


def _row(task: Task) -> tuple[str, ...]:
    when = ", ".join(map(_when, task.schedule.triggers))
    return task.name, Task.State.Name(task.state), str(task.version), when, task.display_name


def _occurrence(entry: Occurrence) -> tuple[str, ...]:
    due = local_time(entry.due_time if entry.HasField("due_time") else entry.create_time)
    if entry.count > 1:
        due += f" to {local_time(entry.last_due_time)}"
    return due, Occurrence.Outcome.Name(entry.outcome), str(entry.count), entry.run, entry.reason


def _when(trigger: Trigger) -> str:
    kind = trigger.WhichOneof("kind") or ""
    if kind == "interval":
        return f"every {trigger.interval.ToTimedelta()}"
    return f"{kind} {trigger.event.topic if kind == 'event' else getattr(trigger, kind, '')}"
