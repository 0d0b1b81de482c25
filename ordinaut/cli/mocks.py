"""Mocks from the command line: one answer each as `--mock step=…`, or whole ones from a file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ordinaut.cli.files import one_document
from ordinaut.cli.parameters import parse_message
from ordinaut.v1.mock_pb2 import Mock

MockOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--mock",
        help="What a step gets: step=JSON or step=FILE; `loop[*].b` is any index. Repeatable.",
    ),
]
MockFile = Annotated[str, typer.Option("--mocks", help="YAML or JSON {mocks: […]}, with errors and durations.")]


def read_mocks(outputs: Sequence[str] | None, file: str) -> list[Mock]:
    """All mocks of a command, those of the file last.

    Raises:
        typer.BadParameter: one is not of the form.
        DocumentError: a file cannot be read.
    """
    mocks = [_output(text) for text in outputs or ()]
    listed = one_document(file).get("mocks") if file else []
    if not isinstance(listed, list):
        raise typer.BadParameter(f"{file} must hold a list under `mocks`")
    return mocks + [parse_message(mock, Mock(), f"mocks[{place}]") for place, mock in enumerate(listed)]


def _output(text: str) -> Mock:
    step, equals, value = text.partition("=")
    if not equals or not step:
        raise typer.BadParameter(f"{text!r} is not of the form step=JSON or step=FILE")
    return parse_message({"step": step, "output": _value(value)}, Mock(), step)


def _value(text: str) -> Any:
    """The JSON, else what the file of that name holds."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if not Path(text).is_file():
            raise typer.BadParameter(f"{text!r} is neither JSON nor a file") from None
    return one_document(text)
