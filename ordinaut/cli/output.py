"""Answers as tables for people and as JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {
    "ACTIVE": "green",
    "PAUSED": "yellow",
    "QUEUED": "cyan",
    "RUNNING": "blue",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "SKIPPED": "dim",
    "SERVING": "green",
}


def as_dict(message: Message) -> dict[str, Any]:
    """proto3 JSON with the protos' own field names."""
    document: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return document


def print_json(document: Mapping[str, Any] | Message) -> None:
    """One JSON document on one line: a single answer, or an element of a stream."""
    plain = as_dict(document) if isinstance(document, Message) else document
    typer.echo(json.dumps(plain, ensure_ascii=False))


def print_details(message: Message) -> None:
    """A message as readable JSON, for a person who asked for one thing."""
    Console(soft_wrap=True).print_json(json.dumps(as_dict(message)), indent=2)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Rows under their columns; `empty` when there are none."""
    table = table_of(columns, rows)
    console = Console()
    if table.row_count:
        console.print(table)
    else:
        console.print(empty, style="dim")


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table without lines; names of states have their colour. Nothing in a row is read as markup."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    return table


def moment(stamp: Timestamp) -> str:
    """Local date and time to the second; empty when unset."""
    if not stamp.seconds and not stamp.nanos:
        return ""
    return stamp.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def lasted(start: Timestamp, end: Timestamp) -> str:
    """Seconds between two moments; up to now while there is no end; empty before the start."""
    if not start.seconds:
        return ""
    until = end.ToDatetime(UTC) if end.seconds else datetime.now(UTC)
    return f"{max((until - start.ToDatetime(UTC)).total_seconds(), 0.0):.2f} s"
