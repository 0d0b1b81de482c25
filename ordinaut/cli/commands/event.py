"""`ordinaut event`: facts that agents and tasks can react to."""

import asyncio
import json
from contextlib import suppress
from typing import Annotated

import typer

from ordinaut.cli.output import local_time, print_json
from ordinaut.cli.parameters import parse_json, parse_message
from ordinaut.cli.session import session_of
from ordinaut.client import Client
from ordinaut.client.document import to_document
from ordinaut.v1.event_pb2 import Event

app = typer.Typer(no_args_is_help=True, help="Events: publish them, watch them come.")


@app.command("publish")
def publish(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(help="Words joined by dots, such as `mail.received`.")],
    data: Annotated[str, typer.Option(help="The fact, a JSON object.")] = "{}",
    source: Annotated[str, typer.Option(help="Where it happened.")] = "",
    subject: Annotated[str, typer.Option(help="What it is about.")] = "",
    event_id: Annotated[str, typer.Option("--id", help="Your own id: accepted once for a source.")] = "",
) -> None:
    """Publish an event, once, however often the connection breaks."""
    session = session_of(context)
    fact = parse_json(data)
    parse_message({"topic": topic, "data": fact}, Event(), "event")

    async def work(client: Client) -> Event:
        return await client.publish(topic, fact, source=source, subject=subject, event_id=event_id)

    event = session.call(work)
    print_json(event) if session.as_json else typer.echo(event.name)


@app.command("watch")
def watch(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(help="A topic or pattern: `mail.*`, `orders.>`; empty: all.")] = "",
    after: Annotated[int | None, typer.Option(help="Begin after this position; 0: from the oldest kept.")] = None,
    count: Annotated[int, typer.Option(min=0, help="End after so many; 0: with Ctrl-C.")] = 0,
) -> None:
    """Show events as they come, over broken connections too."""
    session = session_of(context)

    async def work(client: Client) -> None:
        received = 0
        async for event in client.watch_events(topic, after_position=after):
            print_json(event) if session.as_json else typer.echo(_line(event))
            received += 1
            if count and received >= count:
                return

    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        session.call(work)


def _line(event: Event) -> str:
    data = json.dumps(to_document(event).get("data", {}), ensure_ascii=False)
    return f"{event.position} {local_time(event.publish_time)} {event.topic} {event.publisher} {data}"
