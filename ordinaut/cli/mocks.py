"""Mocks from the command line: outputs as `--mock step=…`, or complete mocks from a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ordinaut.cli.files import one_document
from ordinaut.cli.output import UsageError
from ordinaut.cli.parameters import parse_message
from ordinaut.documents.json_text import read_json
from ordinaut.errors import InvalidArgumentError
from ordinaut.v1.mock_pb2 import Mock

MockOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--mock",
        help="Output of a step: step=JSON or step=FILE; `loop[*].b` matches any index. Repeatable.",
    ),
]
MockFile = Annotated[
    str, typer.Option("--mocks", help="YAML or JSON file {mocks: […]}; mocks may have errors and durations.")
]


def read_mocks(outputs: Sequence[str] | None, file: str) -> list[Mock]:
    """Reads all mocks of a command; those of the file come last.

    Raises:
        typer.BadParameter: an option is malformed.
        DocumentError: a file is not a valid document.
    """
    mocks = [_output(text) for text in outputs or ()]
    listed = one_document(file).get("mocks") if file else []
    if not isinstance(listed, list):
        raise UsageError(f"{file}: `mocks` must be a list (got {type(listed).__name__})")
    return mocks + [parse_message(mock, Mock(), f"mocks[{place}]") for place, mock in enumerate(listed)]


def _output(text: str) -> Mock:
    step, equals, value = text.partition("=")
    if not equals or not step:
        raise UsageError(f"must have the form step=JSON or step=FILE (got {text!r})")
    return parse_message({"step": step, "output": _value(value)}, Mock(), step)


def _value(text: str) -> Any:
    """Parses JSON, or reads the file with this name."""
    try:
        return read_json(text.encode("utf-8", "surrogateescape"))
    except InvalidArgumentError:
        if not Path(text).is_file():
            raise UsageError(f"must be JSON or an existing file (got {text!r})") from None
    return one_document(text)
