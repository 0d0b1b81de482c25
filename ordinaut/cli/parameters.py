"""Values from the command line: `--param city=Bucharest`, `--data '{"a": 1}'`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import typer
from google.protobuf.message import Message

from ordinaut.client.document import DocumentError, read

Target = TypeVar("Target", bound=Message)


def parse_pairs(texts: Sequence[str]) -> dict[str, Any]:
    """`k=v` texts as an object; a value that is JSON is that JSON, everything else is a text.

    Raises:
        typer.BadParameter: a text has no `=`.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{text!r} is not of the form key=value")
        values[key] = _json_or_text(value)
    return values


def parse_json(text: str) -> Any:
    """A JSON value.

    Raises:
        typer.BadParameter: it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise typer.BadParameter(f"not JSON: {failure}") from None


def parse_message(document: Mapping[str, Any], message: Target, path: str) -> Target:
    """The message that a document from the command line describes.

    Raises:
        typer.BadParameter: it does not fit.
    """
    try:
        return read(document, message, path)
    except DocumentError as failure:
        raise typer.BadParameter(str(failure)) from None


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
