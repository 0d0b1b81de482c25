"""`ordinaut event`: publishes and watches events."""

import asyncio
from contextlib import suppress
from typing import Annotated

import typer

from ordinaut.cli.output import echo, local_time, print_json
from ordinaut.cli.parameters import parse_json, parse_message
from ordinaut.cli.session import session_of
from ordinaut.client import Client
from ordinaut.client.document import to_document
from ordinaut.v1.event_pb2 import Event
from ordinaut.visible import json_text

app = typer.Typer(no_args_is_help=True, help="Publish and watch events.")


@app.command("publish")
def publish(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(help="Topic: words joined by dots, such as `mail.received`.")],
    data: Annotated[str, typer.Option(help="Event data, a JSON object.")] = "{}",
    source: Annotated[str, typer.Option(help="Origin of the event.")] = "",
    subject: Annotated[str, typer.Option(help="Subject of the event.")] = "",
    event_id: Annotated[
        str, typer.Option("--id", help="Event id; the same event is published once for each id and source.")
    ] = "",
) -> None:
    """Publish an event exactly once; retries until the gateway answers."""
    session = session_of(context)
    payload = parse_json(data)
    parse_message({"topic": topic, "data": payload}, Event(), "event")

    async def work(client: Client) -> Event:
        return await client.publish(topic, payload, source=source, subject=subject, event_id=event_id)

    event = session.call(work)
    print_json(event) if session.as_json else echo(event.name)


@app.command("watch")
def watch(
    context: typer.Context,
    topic: Annotated[
        str, typer.Argument(help="Topic or pattern such as `mail.*` or `orders.>` (default: all topics).")
    ] = "",
    after: Annotated[
        int | None, typer.Option(help="Start after this position; 0: oldest retained event (default: new events).")
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="Exit after this number of events; 0: run until Ctrl-C.")] = 0,
) -> None:
    """Print events as they are published; reconnects automatically."""
    session = session_of(context)

    async def work(client: Client) -> None:
        received = 0
        async for event in client.watch_events(topic, after_position=after):
            print_json(event) if session.as_json else echo(_line(event))
            received += 1
            if count and received >= count:
                return

    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        session.call(work)


def _line(event: Event) -> str:
    data = json_text(to_document(event).get("data", {}))
    return f"{event.position} {local_time(event.publish_time)} {event.topic} {event.publisher} {data}"
