"""Numbers of the public contract: what is skipped is intended for something, and the comment names it."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorSet

from gateway.rest.openapi.comments import comments

ROOT = Path(__file__).parents[3]
BASELINE = ROOT / "protos/baseline.binpb"
PUBLIC = "ordinaut.v1"
NUMBERS = re.compile(r"\b(\d+)(?: to (\d+))?\b")


def image(path: Path) -> FileDescriptorSet:
    return FileDescriptorSet.FromString(path.read_bytes())


def used() -> Iterator[tuple[str, set[int], set[int]]]:
    """Every message and enum of the public package, with its numbers and those that are reserved."""
    for file in image(ROOT / "ordinaut/v1/descriptors.binpb").file:
        if file.package == PUBLIC:
            for message in file.message_type:
                yield from of_message(PUBLIC, message)
            for enum in file.enum_type:
                yield of_enum(PUBLIC, enum)


def of_message(scope: str, message: DescriptorProto) -> Iterator[tuple[str, set[int], set[int]]]:
    name = f"{scope}.{message.name}"
    reserved = {number for span in message.reserved_range for number in range(span.start, span.end)}
    yield name, {field.number for field in message.field}, reserved
    for inner in message.nested_type:
        yield from of_message(name, inner)
    for enum in message.enum_type:
        yield of_enum(name, enum)


def of_enum(scope: str, enum: EnumDescriptorProto) -> tuple[str, set[int], set[int]]:
    reserved = {number for span in enum.reserved_range for number in range(span.start, span.end + 1)}
    return f"{scope}.{enum.name}", {value.number for value in enum.value}, reserved


def named(text: str) -> set[int]:
    """The numbers in the sentences of a comment that begin with `The number`."""
    sentences = re.findall(r"The numbers? [^.]*\.", text.replace("e.g.", ""))
    spans = [(int(first), int(last or first)) for text in sentences for first, last in NUMBERS.findall(text)]
    return {number for first, last in spans for number in range(first, last + 1)}


SKIPPED = {name: set(range(1, max(numbers) + 1)) - numbers - reserved for name, numbers, reserved in used() if numbers}


@pytest.mark.parametrize("name", sorted(name for name, skipped in SKIPPED.items() if skipped))
def test_a_skipped_number_is_named(name: str) -> None:
    """It stays free for what the comment says; `reserved` is for numbers that were used and given up."""
    assert SKIPPED[name] <= named(comments()[name])


@pytest.mark.parametrize(
    ("name", "numbers", "reserved"), list(used()), ids=lambda given: given if isinstance(given, str) else ""
)
def test_what_a_comment_calls_free_is_free(name: str, numbers: set[int], reserved: set[int]) -> None:
    assert not named(comments().get(name, "")) & (numbers | reserved)


def test_the_intended_numbers_are_free() -> None:
    intended = {"RunPolicy": {2}, "Tool": {9, 10, 13, 14, 15}, "Timeouts": {1}, "RunTaskRequest": {3, 4}}
    for name, numbers in intended.items():
        assert named(comments()[f"{PUBLIC}.{name}"]) == numbers


def field_removed(contract: FileDescriptorSet) -> None:
    del message_of(contract, "Task").field[2]


def field_renamed(contract: FileDescriptorSet) -> None:
    field = message_of(contract, "Task").field[2]
    field.name, field.json_name = "title", "title"


def number_changed(contract: FileDescriptorSet) -> None:
    message_of(contract, "Task").field[2].number = 99


def message_moved(contract: FileDescriptorSet) -> None:
    [task] = [file for file in contract.file if file.name == "ordinaut/v1/task.proto"]
    [run] = [file for file in contract.file if file.name == "ordinaut/v1/view.proto"]
    run.enum_type.add().CopyFrom(task.message_type[0].enum_type[0])
    del task.message_type[0].enum_type[0]


def field_added(contract: FileDescriptorSet) -> None:
    field = message_of(contract, "Task").field.add()
    field.CopyFrom(message_of(contract, "Task").field[2])
    field.name, field.json_name, field.number = "extra", "extra", 99


def message_of(contract: FileDescriptorSet, name: str) -> DescriptorProto:
    [found] = [message for file in contract.file for message in file.message_type if message.name == name]
    return found


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (field_removed, False),
        (field_renamed, False),
        (number_changed, False),
        (message_moved, False),
        (field_added, True),
    ],
)
def test_a_change_that_breaks_callers_is_refused(tmp_path: Path, change: Any, *, allowed: bool) -> None:
    contract = image(BASELINE)
    change(contract)
    (tmp_path / "changed.binpb").write_bytes(contract.SerializeToString())
    buf = Path(sys.executable).parent / "buf"
    command = [str(buf), "breaking", str(tmp_path / "changed.binpb"), "--against", str(BASELINE), "--exclude-imports"]
    ended = subprocess.run([*command, "--config", "buf.yaml"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (ended.returncode == 0) is allowed, ended.stdout + ended.stderr


def test_the_baseline_is_the_public_contract_and_the_changelog_names_it() -> None:
    packages = {file.package for file in image(BASELINE).file}
    assert PUBLIC in packages
    assert not any("internal" in package for package in packages)
    digest = hashlib.sha256(BASELINE.read_bytes()).hexdigest()
    assert f"SHA-256 `{digest}`" in (ROOT / "CHANGELOG.md").read_text()
