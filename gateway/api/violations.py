"""Collects the violations of a request, so that one error contains all of them.

Messages state what is wrong, the limit or the expected value, and what was received; `at_most`, `one_of` and `got`
write the common forms.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from google.api import field_behavior_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from ordinaut.documents.pointers import key_path, pointer_of
from ordinaut.errors import InvalidArgumentError, Repair, Violation
from ordinaut.internal.v1 import violation_pb2
from ordinaut.names import SCOPE, SCOPE_STARS
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
VIOLATIONS_MAX = 100
OUTPUT_ONLY = "must be omitted: the server sets this field"
RECEIVED_MAX = 80  # characters of a received value that a message repeats
# Invisible, or able to reorder the text around them; joiners are allowed, because scripts and emoji need them.
DECEIVING = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
POINTERS = ("path", "from")


def got(value: str) -> str:
    """The end of a message: the received value, shortened.

    >>> got("x"), got("")
    ("(got 'x')", '(got nothing)')
    """
    if not value:
        return "(got nothing)"
    return f"(got {value if len(value) <= RECEIVED_MAX else value[:RECEIVED_MAX] + '…'!r})"


def at_most(limit: int, unit: str, actual: int) -> str:
    """The message for a value that is too long or has too many elements.

    >>> at_most(200, "characters", 312)
    'must be at most 200 characters (got 312)'
    """
    return f"must be at most {limit} {unit} (got {actual})"


def one_of(choices: Iterable[str], value: str) -> str:
    """The message for a value that is not one of the allowed ones.

    >>> one_of(["en", "ro"], "de")
    "must be one of en, ro (got 'de')"
    """
    return f"must be one of {', '.join(choices)} {got(value)}"


class Problems:
    """The violations of one request; `check` raises if there are any."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, field: str, message: str, reason: ErrorReason.ValueType = ErrorReason.FIELD_INVALID) -> None:
        """Adds a violation; `field` is a path into the request. Raises at the hundredth: to find all may take long."""
        self.violations.append(Violation(field, message, reason))
        if len(self.violations) >= VIOLATIONS_MAX:
            self.check()

    def extend(self, violations: Iterable[Violation]) -> None:
        """Adds violations."""
        self.violations.extend(violations)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Adds the violations that the block raises, so that the next check is made as well."""
        try:
            yield
        except InvalidArgumentError as failure:
            if not failure.violations:
                raise
            self.extend(failure.violations)

    def check(self) -> None:
        """Raises the collected violations.

        Raises:
            InvalidArgumentError: with all violations.
        """
        if self.violations:
            raise InvalidArgumentError.of(self.violations)

    def text(self, field: str, value: str, longest: int, *, lines: bool = False) -> None:
        """Checks text for people: bounded, visible, in one line unless `lines`."""
        if len(value) > longest:
            self.add(field, at_most(longest, "characters", len(value)), ErrorReason.TOO_LARGE)
        elif value and not value.strip():
            self.add(field, "must not be blank")
        elif DECEIVING.search(value) or any(_is_control(character, lines=lines) for character in value):
            self.add(field, "must not contain control, invisible or direction-changing characters")

    def identifier(self, field: str, value: str, pattern: re.Pattern[str]) -> None:
        """Checks an id against a documented pattern."""
        if not pattern.fullmatch(value):
            self.add(field, f"must match {pattern.pattern} {got(value)}", ErrorReason.NAME_INVALID)

    def request_id(self, value: str) -> None:
        """Checks a request_id."""
        self.text("request_id", value, REQUEST_ID_MAX)

    def labels(self, field: str, labels: Mapping[str, str]) -> None:
        """Checks labels."""
        if len(labels) > LABELS_MAX:
            self.add(field, at_most(LABELS_MAX, "labels", len(labels)), ErrorReason.TOO_LARGE)
            return
        for key, value in labels.items():
            if not LABEL_KEY.fullmatch(key):
                self.add(field, f"keys must match {LABEL_KEY.pattern} {got(key)}")
            self.text(key_path(field, key), value, LABEL_VALUE_MAX)

    def duration(self, field: str, value: Duration, longest_seconds: int) -> None:
        """Checks a positive duration."""
        nanos = value.seconds * 10**9 + value.nanos
        if not 0 < nanos <= longest_seconds * 10**9:
            self.add(field, f"must be more than 0 s and at most {longest_seconds} s (got {nanos / 10**9:g} s)")

    def between(self, field: str, value: float, least: float, most: float) -> None:
        """Checks a number."""
        if not least <= value <= most:
            self.add(field, f"must be between {least} and {most} (got {value:g})")

    def scopes(self, field: str, scopes: Iterable[str]) -> None:
        """Checks scopes: of the documented form, without duplicates."""
        distinct: set[str] = set()
        for index, scope in enumerate(scopes):
            if not SCOPE.fullmatch(scope):
                expected = "must be `<noun>:<verb>`, `<noun>:<verb>:<glob>` or `admin`"
                if SCOPE.fullmatch(":".join(scope.split(":")[:2])):
                    expected = "must have a glob of the characters that such names have, or none"
                self.add(f"{field}[{index}]", f"{expected} {got(scope)}")
            elif scope.count("*") > SCOPE_STARS:
                self.add(f"{field}[{index}]", at_most(SCOPE_STARS, "times `*` in a glob", scope.count("*")))
            elif scope in distinct:
                self.add(f"{field}[{index}]", f"must be unique (got {scope!r} again)")
            distinct.add(scope)
        if len(distinct) > SCOPES_MAX:
            self.add(field, at_most(SCOPES_MAX, "scopes", len(distinct)), ErrorReason.TOO_LARGE)

    def not_writable(self, field: str, resource: Message, *, except_for: frozenset[str] = frozenset()) -> None:
        """Refuses OUTPUT_ONLY fields."""
        for name in output_only(resource):
            if name not in except_for and is_set(resource, name):
                self.add(f"{field}.{name}", OUTPUT_ONLY, ErrorReason.FIELD_NOT_WRITABLE)


def output_only(resource: Message) -> list[str]:
    """Returns the names of the fields that are OUTPUT_ONLY in the contract."""
    return [
        field.name
        for field in resource.DESCRIPTOR.fields
        if field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    ]


def is_set(message: Message, name: str) -> bool:
    """Whether a field is present; without field presence, whether it differs from its default."""
    return any(field.name == name for field, _ in message.ListFields())


def _is_control(character: str, *, lines: bool) -> bool:
    return unicodedata.category(character) == "Cc" and not (lines and character in "\n\r\t")


def reroot(messages: Iterable[violation_pb2.Violation], root: str) -> list[Violation]:
    """Converts violations of another process; `root` is prepended to their paths and to the JSON pointers of fixes."""
    return [_rerooted(message, root) for message in messages]


def under(root: str, violations: Iterable[Violation]) -> list[Violation]:
    """Prepends `root`, the path of a part of the request such as `requests[3]`."""
    return [_placed(violation, join(root, violation.field), root) for violation in violations]


def join(root: str, field: str) -> str:
    """The path of `field` inside `root`.

    >>> join("task", "schedule"), join("requests", "[3].task"), join("", "task")
    ('task.schedule', 'requests[3].task', 'task')
    """
    if not field or not root:
        return root or field
    return f"{root}{field}" if field.startswith("[") else f"{root}.{field}"


def _rerooted(message: violation_pb2.Violation, root: str) -> Violation:
    fix = message.fix if message.HasField("fix") else None
    field = join(root, message.field)
    return _placed(violation_of(field, message.message, message.reason, fix), field, root)


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
