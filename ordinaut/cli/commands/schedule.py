"""`ordinaut schedule`: previews and explains schedules without a task."""

from typing import Annotated, Any

import typer

from ordinaut.cli.files import documents
from ordinaut.cli.output import UsageError, echo, local_time, print_json, print_table
from ordinaut.cli.parameters import parse_message
from ordinaut.cli.session import session_of
from ordinaut.v1 import task_service_pb2 as requests
from ordinaut.v1.schedule_pb2 import Schedule, Upcoming

app = typer.Typer(no_args_is_help=True, help="Preview and explain schedules without creating a task.")
COLUMNS = ("OCCURRENCE", "DUE", "JITTER", "NOTE")
Cron = Annotated[
    list[str] | None,
    typer.Option(
        help="Cron expression with five fields, such as '30 7 * * mon-fri', or a nickname such as @daily. Repeatable."
    ),
]
RRule = Annotated[
    list[str] | None, typer.Option(help="RFC 5545 recurrence rule, such as 'FREQ=MONTHLY;BYDAY=-1FR'. Repeatable.")
]
Every = Annotated[list[str] | None, typer.Option(help="Interval (e.g. 90s, 6h). Repeatable.")]
Once = Annotated[list[str] | None, typer.Option(help="Time (e.g. 2026-07-01T12:00:00). Repeatable.")]
Zone = Annotated[str, typer.Option(help="IANA time zone (e.g. Europe/Chisinau).")]
File = Annotated[
    str, typer.Option("--file", "-f", help="File with a schedule or task, YAML or JSON (-: standard input).")
]


@app.command("preview")
def preview(
    context: typer.Context,
    cron: Cron = None,
    rrule: RRule = None,
    every: Every = None,
    once: Once = None,
    zone: Zone = "",
    file: File = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="Number of future times.")] = 5,
    after: Annotated[str, typer.Option(help="Only times after this one, RFC 3339 (default: now).")] = "",
) -> None:
    """List the next times of a schedule."""
    session = session_of(context)
    request = requests.PreviewScheduleRequest(schedule=_schedule(file, _triggers(cron, rrule, every, once), zone))
    request.count = count
    if after:
        request.MergeFrom(parse_message({"after_time": after}, requests.PreviewScheduleRequest(), ""))
    answer = session.call(lambda client: client.tasks.PreviewSchedule(request))
    if session.as_json:
        print_json(answer)
        return
    echo(answer.explanation)
    print_table(COLUMNS, map(_row, answer.occurrences), "no future times")
    _warn(answer.warnings)


@app.command("explain")
def explain(
    context: typer.Context,
    cron: Cron = None,
    rrule: RRule = None,
    every: Every = None,
    once: Once = None,
    zone: Zone = "",
    file: File = "",
    language: Annotated[str, typer.Option(help="Language of the explanation: en or ro.")] = "en",
) -> None:
    """Describe a schedule in words, with its frequency and warnings."""
    session = session_of(context)
    schedule = _schedule(file, _triggers(cron, rrule, every, once), zone)
    request = requests.ExplainScheduleRequest(schedule=schedule, language=language)
    answer = session.call(lambda client: client.tasks.ExplainSchedule(request))
    if session.as_json:
        print_json(answer)
        return
    echo(answer.explanation)
    echo(f"  {answer.runs_per_year} runs in the next year")
    _warn(answer.warnings)


def _triggers(
    cron: list[str] | None, rrule: list[str] | None, every: list[str] | None, once: list[str] | None
) -> list[dict[str, Any]]:
    options = {"cron": cron, "rrule": rrule, "interval": every, "once": once}
    return [{kind: text} for kind, texts in options.items() for text in texts or ()]


def _schedule(file: str, triggers: list[dict[str, Any]], zone: str) -> Schedule:
    """The schedule of the file; options replace its triggers and its time zone."""
    document: dict[str, Any] = {}
    if file:
        [document, *rest] = documents(file)
        if rest:
            raise UsageError(f"{file} must contain exactly one document (got {len(rest) + 1})")
        document = dict(document.get("schedule", document))
    if triggers:
        document["triggers"] = triggers
    if zone:
        document["time_zone"] = zone
    return parse_message(document, Schedule(), "schedule")


def _row(upcoming: Upcoming) -> tuple[str, ...]:
    jitter = str(upcoming.jitter.ToTimedelta()) if upcoming.HasField("jitter") else ""
    return upcoming.id, upcoming.local_time or local_time(upcoming.fire_time), jitter, upcoming.note


def _warn(warnings: Any) -> None:
    for warning in warnings:
        echo(f"  warning: {warning}", err=True)
