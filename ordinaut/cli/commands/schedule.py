"""`ordinaut schedule`: when a schedule would run, before it is a task's."""

from typing import Annotated, Any

import typer

from ordinaut.cli.files import documents
from ordinaut.cli.output import local_time, print_json, print_table
from ordinaut.cli.parameters import parse_message
from ordinaut.cli.session import session_of
from ordinaut.v1 import task_service_pb2 as requests
from ordinaut.v1.schedule_pb2 import Schedule, Upcoming

app = typer.Typer(no_args_is_help=True, help="Schedules: what they say and when they run, before a task has them.")
COLUMNS = ("OCCURRENCE", "DUE", "JITTER", "NOTE")
Cron = Annotated[list[str] | None, typer.Option(help="Five fields or a nickname: '30 7 * * mon-fri'.")]
RRule = Annotated[list[str] | None, typer.Option(help="RFC 5545: 'FREQ=MONTHLY;BYDAY=-1FR'.")]
Every = Annotated[list[str] | None, typer.Option(help="An interval: 90s, 6h.")]
Once = Annotated[list[str] | None, typer.Option(help="A moment: 2026-07-01T12:00:00.")]
Zone = Annotated[str, typer.Option(help="IANA time zone, such as Europe/Chisinau.")]
File = Annotated[str, typer.Option("--file", "-f", help="YAML or JSON with a schedule or a task; - is stdin.")]


@app.command("preview")
def preview(
    context: typer.Context,
    cron: Cron = None,
    rrule: RRule = None,
    every: Every = None,
    once: Once = None,
    zone: Zone = "",
    file: File = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="So many coming times.")] = 5,
    after: Annotated[str, typer.Option(help="Only times after this one (RFC 3339).")] = "",
) -> None:
    """Show the coming times."""
    session = session_of(context)
    request = requests.PreviewScheduleRequest(schedule=_schedule(file, _triggers(cron, rrule, every, once), zone))
    request.count = count
    if after:
        request.MergeFrom(parse_message({"after_time": after}, requests.PreviewScheduleRequest(), ""))
    answer = session.call(lambda client: client.tasks.PreviewSchedule(request))
    if session.as_json:
        print_json(answer)
        return
    typer.echo(answer.explanation)
    print_table(COLUMNS, map(_row, answer.occurrences), "no coming times")
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
    language: Annotated[str, typer.Option(help="en or ro.")] = "en",
) -> None:
    """Say in one sentence when it runs, how often, and what is odd about it."""
    session = session_of(context)
    schedule = _schedule(file, _triggers(cron, rrule, every, once), zone)
    request = requests.ExplainScheduleRequest(schedule=schedule, language=language)
    answer = session.call(lambda client: client.tasks.ExplainSchedule(request))
    if session.as_json:
        print_json(answer)
        return
    typer.echo(answer.explanation)
    typer.echo(f"  {answer.runs_per_year} runs in the coming year")
    _warn(answer.warnings)


def _triggers(
    cron: list[str] | None, rrule: list[str] | None, every: list[str] | None, once: list[str] | None
) -> list[dict[str, Any]]:
    options = {"cron": cron, "rrule": rrule, "interval": every, "once": once}
    return [{kind: text} for kind, texts in options.items() for text in texts or ()]


def _schedule(file: str, triggers: list[dict[str, Any]], zone: str) -> Schedule:
    """The schedule of the options, or of the file, whose triggers and zone the options replace."""
    document: dict[str, Any] = {}
    if file:
        [document, *rest] = documents(file)
        if rest:
            raise typer.BadParameter(f"{file} holds {len(rest) + 1} documents; one is needed")
        document = dict(document.get("schedule", document))
    if triggers:
        document["triggers"] = triggers
    if zone:
        document["time_zone"] = zone
    return parse_message(document, Schedule(), "schedule")


def _row(coming: Upcoming) -> tuple[str, ...]:
    jitter = str(coming.jitter.ToTimedelta()) if coming.HasField("jitter") else ""
    return coming.id, coming.local_time or local_time(coming.fire_time), jitter, coming.note


def _warn(warnings: Any) -> None:
    for warning in warnings:
        typer.echo(f"  warning: {warning}", err=True)
