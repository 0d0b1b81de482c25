"""Prints responses as tables, lines or JSON.

The commands print with these functions only, because a text of a server or of a file may contain characters that a
terminal obeys or does not show.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from ordinaut.cli.session import interactive
from ordinaut.client.document import to_document
from ordinaut.visible import json_text, visible, visible_lines

PIPE_WIDTH = 10_000  # columns when the output is not a terminal, so that lines are not wrapped
CELL_LENGTH = 60
STATE_STYLES = {
    "ACTIVE": "green",
    "PAUSED": "yellow",
    "QUEUED": "cyan",
    "RUNNING": "blue",
    "WAITING": "magenta",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "SKIPPED": "dim",
    "PENDING": "magenta",
    "APPROVED": "green",
    "REJECTED": "red",
    "EXPIRED": "yellow",
    "SERVING": "green",
}


class UsageError(typer.BadParameter):
    """A wrong option or argument; the message may quote it."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


def echo(text: str, *, err: bool = False) -> None:
    """Prints one line to standard output, or to standard error with `err`; hidden characters are escaped."""
    typer.echo(visible(text), err=err)


def echo_lines(text: str, *, err: bool = False) -> None:
    """Prints a text of several lines, each of which ends with a line feed."""
    typer.echo(visible_lines(text), err=err, nl=False)


def styled(*parts: str | tuple[str, str]) -> Text:
    """One line from parts, each a text or a text with its style; hidden characters are escaped."""
    pairs = (part if isinstance(part, tuple) else (part, "") for part in parts)
    return Text.assemble(*((visible(text), style) for text, style in pairs))


def print_json(document: Mapping[str, Any] | Message) -> None:
    """Prints one JSON document on one line: a response, or an element of a stream."""
    plain = to_document(document) if isinstance(document, Message) else document
    typer.echo(json_text(plain))


def print_details(message: Message) -> None:
    """Prints a message as indented JSON."""
    text = Text(json_text(to_document(message), indent=2))
    JSONHighlighter().highlight(text)
    Console(soft_wrap=True).print(text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Prints a table, or the text `empty` instead of a table without rows."""
    table = table_of(columns, rows)
    console = Console(width=None if interactive() else PIPE_WIDTH)
    if table.row_count:
        console.print(table)
    else:
        console.print(styled(empty), style="dim")


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table without borders; names of states are coloured. Cells are not interpreted as markup.

    The first column, which users copy, is never truncated.
    """
    cells = [[styled((cell, STATE_STYLES.get(cell, ""))) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        longest = max((row[place].cell_len for row in cells), default=0)
        table.add_column(styled(column), min_width=longest if place == 0 else None, overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table


def shorten(text: str) -> str:
    """The first 60 characters of a text for a table cell; the length of the omitted rest is stated."""
    rest = len(text) - CELL_LENGTH
    return text if rest <= 0 else f"{text[:CELL_LENGTH]}… (+{rest} characters)"


def local_time(stamp: Timestamp) -> str:
    """Local date and time to the second; empty if unset."""
    if not stamp.seconds and not stamp.nanos:
        return ""
    return stamp.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def elapsed(start: Timestamp, end: Timestamp) -> str:
    """Seconds from start to end, or to now if the end is unset; empty before the start."""
    if not start.seconds:
        return ""
    until = end.ToDatetime(UTC) if end.seconds else datetime.now(UTC)
    return f"{max((until - start.ToDatetime(UTC)).total_seconds(), 0.0):.2f} s"
