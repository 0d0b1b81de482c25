"""`ordinaut state`: reads and writes shared state."""

from typing import Annotated, Any

import typer

from ordinaut.cli.output import echo, local_time, print_json, print_table, shorten
from ordinaut.cli.pagination import collect
from ordinaut.cli.parameters import parse_json, parse_message
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.client.document import to_document
from ordinaut.v1 import state_service_pb2 as requests
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.visible import json_text

app = typer.Typer(no_args_is_help=True, help="Read and write shared state: JSON values under namespace/key.")
Name = Annotated[str, typer.Argument(help="State entry: `namespace/key` or `state/namespace/key`.")]
COLUMNS = ("ENTRY", "REVISION", "UPDATED", "VALUE")


@app.command("get")
def get_entry(context: typer.Context, name: Name) -> None:
    """Print the value of an entry."""
    session = session_of(context)
    request = requests.GetStateEntryRequest(name=with_prefix("state", name))
    entry = session.call(lambda client: client.state.GetStateEntry(request))
    print_json(entry) if session.as_json else echo(_value(entry))


@app.command("put")
def put_entry(
    context: typer.Context,
    name: Name,
    value: Annotated[str, typer.Argument(help="JSON value.")],
    revision: Annotated[
        int | None, typer.Option(min=0, help="Write only if the entry has this revision; 0: only if it does not exist.")
    ] = None,
) -> None:
    """Write the value of an entry."""
    session = session_of(context)
    document: dict[str, Any] = {"entry": {"name": with_prefix("state", name), "value": parse_json(value)}}
    if revision is not None:
        document["revision"] = revision
    request = parse_message(document, requests.PutStateEntryRequest(), "")
    entry = session.call(lambda client: client.state.PutStateEntry(request))
    print_json(entry) if session.as_json else echo(f"{entry.name} revision {entry.revision}")


@app.command("list")
def list_entries(
    context: typer.Context,
    namespace: Annotated[str, typer.Argument(help="Namespace.")],
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of results.")] = 100,
) -> None:
    """List the entries of a namespace, ordered by key."""
    session = session_of(context)

    async def work(client: Client) -> list[StateEntry]:
        async def page(size: int, token: str) -> tuple[list[Any], str]:
            parent = with_prefix("state", namespace)
            request = requests.ListStateEntriesRequest(parent=parent, page_size=size, page_token=token)
            answer = await client.state.ListStateEntries(request)
            return list(answer.entries), answer.next_page_token

        return await collect(limit, page)

    entries = session.call(work)
    if session.as_json:
        print_json(requests.ListStateEntriesResponse(entries=entries))
    else:
        print_table(COLUMNS, map(_row, entries), "no entries")


def _value(entry: StateEntry) -> str:
    return json_text(to_document(entry).get("value"))


def _row(entry: StateEntry) -> tuple[str, ...]:
    return entry.name, str(entry.revision), local_time(entry.update_time), shorten(_value(entry))
