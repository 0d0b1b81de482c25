"""Collects everything that is wrong with a request, so that one answer can name it all."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace

from google.api import field_behavior_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from gateway.api.message_checks import key_path
from ordinaut.errors import InvalidArgumentError, Repair, Violation
from ordinaut.internal.v1 import violation_pb2
from ordinaut.names import SCOPE
from ordinaut.rpc.status import violation_of
from ordinaut.v1.error_pb2 import ErrorReason

DISPLAY_NAME_MAX = 200
DESCRIPTION_MAX = 10_000
REASON_MAX = 1_000
REQUEST_ID_MAX = 64
LABELS_MAX = 64
LABEL_KEY = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
LABEL_VALUE_MAX = 200
SCOPES_MAX = 100
# Invisible, or able to reorder the text around them; joiners are left out, because scripts and emoji need them.
DECEIVING = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
POINTERS = ("path", "from")
INDEX = re.compile(r"\[(\d+)\]")


class Problems:
    """The violations found so far; `check` raises when there are any."""

    def __init__(self) -> None:
        self.found: list[Violation] = []

    def add(self, field: str, message: str, reason: ErrorReason.ValueType = ErrorReason.FIELD_INVALID) -> None:
        """One more problem; `field` is a path into the request."""
        self.found.append(Violation(field, message, reason))

    def extend(self, violations: Iterable[Violation]) -> None:
        """Problems that another process found."""
        self.found.extend(violations)

    def check(self) -> None:
        """Lets a request without problems pass.

        Raises:
            InvalidArgumentError: with every problem.
        """
        if self.found:
            raise InvalidArgumentError.of(self.found)

    def text(self, field: str, value: str, longest: int, *, lines: bool = False) -> None:
        """A text for people: bounded, visible, in one line or several."""
        if len(value) > longest:
            self.add(field, f"may have {longest} characters, not {len(value)}", ErrorReason.TOO_LARGE)
        elif value and not value.strip():
            self.add(field, "must not be blank")
        elif DECEIVING.search(value) or any(_is_control(character, lines=lines) for character in value):
            self.add(field, "must not hold control, invisible or direction-changing characters")

    def identifier(self, field: str, value: str, pattern: re.Pattern[str], form: str) -> None:
        """An id of a documented form."""
        if not pattern.fullmatch(value):
            self.add(field, f"must be {form}", ErrorReason.NAME_INVALID)

    def request_id(self, value: str) -> None:
        """The caller's own id for a request."""
        self.text("request_id", value, REQUEST_ID_MAX)

    def labels(self, field: str, labels: Mapping[str, str]) -> None:
        """Short texts to find things by."""
        if len(labels) > LABELS_MAX:
            self.add(field, f"may hold {LABELS_MAX} labels, not {len(labels)}", ErrorReason.TOO_LARGE)
            return
        for key, value in labels.items():
            if not LABEL_KEY.fullmatch(key):
                self.add(field, f"the key {key[:70]!r} must match {LABEL_KEY.pattern}")
            self.text(key_path(field, key), value, LABEL_VALUE_MAX)

    def duration(self, field: str, value: Duration, longest_seconds: int) -> None:
        """A positive span of time."""
        if not 0 < value.seconds * 10**9 + value.nanos <= longest_seconds * 10**9:
            self.add(field, f"must be more than 0 s and at most {longest_seconds} s")

    def between(self, field: str, value: float, least: float, most: float) -> None:
        """A number inside its bounds."""
        if not least <= value <= most:
            self.add(field, f"must be between {least} and {most}")

    def scopes(self, field: str, scopes: Iterable[str]) -> None:
        """Scopes of the documented form, each once."""
        seen: set[str] = set()
        for index, scope in enumerate(scopes):
            if not SCOPE.fullmatch(scope):
                self.add(f"{field}[{index}]", "must be `<noun>:<verb>`, `<noun>:<verb>:<glob>` or `admin`")
            elif scope in seen:
                self.add(f"{field}[{index}]", f"{scope} stands twice")
            seen.add(scope)
        if len(seen) > SCOPES_MAX:
            self.add(field, f"may hold {SCOPES_MAX} scopes, not {len(seen)}", ErrorReason.TOO_LARGE)

    def not_writable(self, field: str, resource: Message, *, but: frozenset[str] = frozenset()) -> None:
        """Fields that the server alone sets must not be set by a caller."""
        for name in output_only(resource):
            if name not in but and is_set(resource, name):
                self.add(f"{field}.{name}", "is set by the server alone", ErrorReason.FIELD_NOT_WRITABLE)


def output_only(resource: Message) -> list[str]:
    """The names of the fields that the contract marks OUTPUT_ONLY."""
    return [
        field.name
        for field in resource.DESCRIPTOR.fields
        if field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    ]


def is_set(message: Message, name: str) -> bool:
    """Whether a field holds something else than its default."""
    return any(field.name == name for field, _ in message.ListFields())


def _is_control(character: str, *, lines: bool) -> bool:
    return unicodedata.category(character) == "Cc" and not (lines and character in "\n\r\t")


def reroot(found: Iterable[violation_pb2.Violation], root: str) -> list[Violation]:
    """The violations with `field` and the fixes' JSON pointers below `root`, a path such as `task.pipeline`."""
    return [_rerooted(violation, root) for violation in found]


def under(root: str, found: Iterable[Violation]) -> list[Violation]:
    """Our own violations of a part of a request, such as `requests[3]`, as those of the whole."""
    return [_placed(violation, join(root, violation.field), root) for violation in found]


def join(root: str, field: str) -> str:
    """The path of `field` inside `root`."""
    if not field or not root:
        return root or field
    return f"{root}{field}" if field.startswith("[") else f"{root}.{field}"


def pointer_of(path: str) -> str:
    """The JSON pointer to what stands at a path such as `steps[0].with`."""
    return path and "/" + INDEX.sub(r"/\1", path).replace(".", "/").removeprefix("/")


def _rerooted(violation: violation_pb2.Violation, root: str) -> Violation:
    fix = violation.fix if violation.HasField("fix") else None
    field = join(root, violation.field)
    return _placed(violation_of(field, violation.message, violation.reason, fix), field, root)


def _placed(violation: Violation, field: str, root: str) -> Violation:
    repair = None if violation.repair is None else _moved(violation.repair, root)
    return replace(violation, field=field, repair=repair)


def _moved(repair: Repair, root: str) -> Repair:
    prefix = pointer_of(root)
    operations = [
        {key: prefix + str(value) if key in POINTERS else value for key, value in operation.items()}
        for operation in repair.operations
    ]
    return Repair(repair.explanation, operations)
