"""Parses option values such as `--param city=Bucharest` and `--data '{"a": 1}'`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from ordinaut.cli.output import UsageError
from ordinaut.client.document import DocumentError, read, with_integers
from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.documents.json_text import read_json
from ordinaut.errors import InvalidArgumentError

Target = TypeVar("Target", bound=Message)


def parse_pairs(texts: Sequence[str]) -> dict[str, Any]:
    """Parses `key=value` options; a value that is not JSON is a string.

    A number that would be written differently is a string as well: `1.10` could be a version, `1e3` a hash.

    >>> parse_pairs(["city=Porto", "days=3", "version=1.10", "list=[1.10]"])
    {'city': 'Porto', 'days': 3, 'version': '1.10', 'list': [1.1]}

    Raises:
        typer.BadParameter: an option has another form.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"must have the form key=value (got {text!r})")
        values[key] = _json_or_text(value)
    return values


def parse_json(text: str) -> Any:
    """Parses a JSON value.

    Raises:
        typer.BadParameter: the text is not JSON.
    """
    try:
        return read_json(text.encode("utf-8", "surrogateescape"))
    except InvalidArgumentError as failure:
        raise UsageError(f"must be JSON: {failure.message}") from None


def parse_message(document: Mapping[str, Any], message: Target, path: str) -> Target:
    """Converts a document from the command line to a message.

    Raises:
        typer.BadParameter: the document does not match the message type.
    """
    try:
        return read(document, message, path)
    except DocumentError as failure:
        raise UsageError(str(failure)) from None


def _json_or_text(text: str) -> Any:
    try:
        value = read_json(text.encode("utf-8", "surrogateescape"))
    except InvalidArgumentError:
        return text
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, InvalidValue) or (is_number and json.dumps(with_integers(value)) != text):
        return text
    return value
