"""No command passes a character to the terminal that the terminal obeys or does not show."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from google.protobuf import descriptor_pool, message_factory, struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ordinaut.cli.__main__ import app
from ordinaut.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError, Repair, Violation
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.visible import visible_lines
from tests.sample import FULL
from tests.unit.cli.conftest import Cli, Gateway

KINDS = (
    "Pay 10 EUR\x1b[8m or 1000000",
    "\x1b]0;title\x07\x1b]52;c;cm0=\x1b\\",
    "\x9b2J\x90q\x9c",
    "line\nruns/x SUCCEEDED\r\x08\x0b\x0c\x7f",
    "\u202egnp.exe\u2066\u2069\u061c",
    "ze\u200bro\u200d\ufeff\u2060\u00ad\u034f\u3164\ufe0f",
    "a\u2028b\u2029c\x85d",
    "\U000e0041\U000e007f",
    "[bold red]markup[/] :skull:",
)
HOSTILE = (" ".join(KINDS), " ".join(reversed(KINDS)))  # a table cell has the beginning only
COMMANDS = {
    "agent create": "x --scope runs:read",
    "agent grant": "x --scope runs:read",
    "agent delete": "x",
    "agent get": "x",
    "agent list": "",
    "agent token create": "x",
    "agent token list": "x",
    "agent token revoke": "agents/x/tokens/y",
    "agent token rotate": "agents/x/tokens/y",
    "agent update": "x --scope runs:read",
    "audit export": "",
    "audit list": "",
    "audit verify": "",
    "approval answer": "x approve --edit /a=1",
    "approval list": "",
    "approval show": "x",
    "draft": "FILE",
    "event publish": "a.b",
    "event watch": "",
    "import": "github FILE",
    "pipeline graph": "FILE",
    "pipeline lint": "FILE",
    "pipeline run": "FILE --watch",
    "pipeline schema": "--tools",
    "pipeline simulate": "FILE",
    "project create": "x",
    "project delete": "x --yes",
    "project erase": "x --subject y",
    "project export": "x",
    "project get": "x",
    "project list": "",
    "run cancel": "x",
    "run get": "x",
    "run list": "",
    "run replay": "x",
    "run retry": "x --watch",
    "run watch": "x",
    "schedule explain": "--cron '* * * * *'",
    "schedule preview": "--cron '* * * * *'",
    "state get": "a/b",
    "state list": "a",
    "state put": "a/b 1",
    "status": "",
    "task apply": "-f FILE",
    "task backfill cancel": "x",
    "task backfill watch": "x",
    "task backfill start": "x --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z",
    "task backfill get": "x",
    "task backfill list": "x",
    "task check": "FILE",
    "task delete": "x",
    "task explain": "x 2026-01-01T00:00:00Z",
    "task get": "x",
    "task list": "",
    "task occurrences": "x",
    "task pause": "x",
    "task resume": "x",
    "task run": "x --watch",
    "task simulate": "x",
    "task skip": "x 20261025T003000Z",
    "task snooze": "x --for 10m",
    "tool apply": "-f FILE",
    "tool delete": "x",
    "tool get": "x",
    "tool list": "",
    "whoami": "",
}
WITHOUT_SERVER = {"up", "migrate", "project operator", "project quota", "protos", "login", "logout", "admin token"}


def names(command: Any, prefix: str = "") -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from names(inner, f"{prefix} {name}".strip())
    else:
        yield prefix


def filled(message: Message, text: str, depth: int = 4) -> Any:
    """The message with `text` in every string, also in maps, JSON values and repeated fields; page tokens are empty."""
    if isinstance(message, struct_pb2.Struct):
        message.update({"op": "add", "path": text, "value": text, text: [text, {text: text}]})
        return message
    if isinstance(message, struct_pb2.Value):
        message.struct_value.update({text: text})
        return message
    for field in message.DESCRIPTOR.fields:
        _fill(message, field, text, depth)
    return message


def _fill(message: Message, field: Any, text: str, depth: int) -> None:
    repeated = field.is_repeated
    if field.name == "next_page_token" or (field.containing_oneof and message.WhichOneof(field.containing_oneof.name)):
        return
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
            getattr(message, field.name)[text] = text
        elif field.message_type.fields_by_name["value"].message_type is None:
            getattr(message, field.name)[text] = 1
    elif field.message_type is not None:
        if (
            depth and field.message_type.full_name.rpartition(".")[0] != "google.protobuf"
        ) or field.message_type.name in {
            "Struct",
            "Value",
        }:
            inner = getattr(message, field.name).add() if repeated else getattr(message, field.name)
            inner.SetInParent()
            filled(inner, text, depth - 1)
    elif field.type == FieldDescriptor.TYPE_STRING:
        getattr(message, field.name).append(text) if repeated else setattr(message, field.name, text)
    elif field.enum_type is not None and not repeated:
        ended = {"SUCCEEDED", "COMPLETED"} & set(field.enum_type.values_by_name)  # otherwise a watch has no end
        value = field.enum_type.values_by_name[ended.pop()] if ended else field.enum_type.values[-1]
        setattr(message, field.name, value.number)
    elif field.type == FieldDescriptor.TYPE_BOOL and not repeated:
        setattr(message, field.name, True)


class HostileAnswers(dict[str, Any]):
    """An answer for every method, with `text` in all its strings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __missing__(self, method: str) -> Any:
        answer = filled(_answer(method), self.text)
        return [answer, NotFoundError.of(self.text)] if method == "WatchEvents" else answer  # it has no end of its own


def _answer(name: str) -> Message:
    for service in (*("Agent", "Approval", "Audit", "Event", "Project", "Run", "State", "System", "Task", "Tool"),):
        descriptor: Any = descriptor_pool.Default().FindServiceByName(f"ordinaut.v1.{service}Service")
        if name in descriptor.methods_by_name:
            return message_factory.GetMessageClass(descriptor.methods_by_name[name].output_type)()
    raise KeyError(name)


def arguments(command: str, folder: Path, text: str) -> list[str]:
    file = folder / "task.json"
    step = {"id": text, "name": text, "uses": "a.b", "if": text, "with": {text: text}}
    pipeline = {"version": 1, "steps": [step, {"id": "c", "branches": {text: [step]}}]}
    document: dict[str, Any] = {"name": "tasks/x", "description": text, "pipeline": pipeline}
    if command.startswith("tool"):
        document = {"name": "tools/x", "description": text}
    file.write_text(json.dumps(pipeline if command.startswith("pipeline") else document))
    words = re.findall(r"'[^']*'|\S+", COMMANDS[command])
    return [*command.split(), *(str(file) if word == "FILE" else word.strip("'") for word in words)]


def harmless(text: str) -> bool:
    return visible_lines(text) == text and "\nruns/x SUCCEEDED" not in text


def test_every_command_is_tested() -> None:
    assert set(names(typer.main.get_command(app))) == set(COMMANDS) | WITHOUT_SERVER


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("command", COMMANDS)
def test_answers_do_not_control_the_terminal(
    cli: Cli, gateway: Gateway, tmp_path: Path, command: str, text: str
) -> None:
    gateway.answers = HostileAnswers(text)
    for options in ((), ("--json",)):
        result = cli(*arguments(command, tmp_path, text), *options)
        assert harmless(result.out), result.out
        assert harmless(result.err), result.err
        assert result.out or result.err
        assert "Traceback" not in result.err


@pytest.mark.parametrize("text", HOSTILE[:1])
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"pipeline graph", "task check"}])
def test_errors_do_not_control_the_terminal(
    cli: Cli, gateway: Gateway, tmp_path: Path, command: str, text: str
) -> None:
    repair = Repair(text, [{"op": "add", "path": f"/{text}", "value": text}])
    problem = Violation(text, text, ErrorReason.FIELD_INVALID, repair)
    errors = (
        InvalidArgumentError.of([problem]),
        NotFoundError.of(text),
        PermissionDeniedError(ErrorReason.MISSING_SCOPE, text, {text: text}),
    )
    turn = list(COMMANDS).index(command) % len(errors)
    for error in errors if FULL else errors[turn : turn + 1]:
        gateway.answers = HostileErrors(error)
        for options in ((), ("--json",)):
            result = cli(*arguments(command, tmp_path, text), *options)
            assert harmless(result.out), result.out
            assert harmless(result.err), result.err


class HostileErrors(dict[str, Any]):
    """The same error for every method."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def __missing__(self, method: str) -> Any:
        return self.error
