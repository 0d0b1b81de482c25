"""Path templates of `google.api.http`: `/v1/{name=tasks/*}:run`. Source: google/api/http.proto."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

VARIABLE = re.compile(r"\{([a-z0-9_.]+)(?:=([^}]+))?\}")
SEGMENT = "[^/:]+"  # a colon begins a custom verb
SEGMENTS = "[^/]+(?:/[^/]+)*"
BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A template that can be matched: `variables` are field paths with their patterns, in order."""

    text: str
    variables: tuple[tuple[str, str], ...]
    pattern: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> "PathTemplate":
        """Reads a template of literal segments, variables and a verb."""
        variables = tuple((match[1], match[2] or "*") for match in VARIABLE.finditer(text))
        literals = VARIABLE.split(text)[::3]
        groups = [f"({_pattern(pattern)})" for _, pattern in variables]
        joined = [part for pair in zip(map(re.escape, literals), [*groups, ""], strict=True) for part in pair]
        return cls(text, variables, re.compile("".join(joined)))

    @property
    def rank(self) -> tuple[bool, int]:
        """Sorts what is more definite first: `**` swallows verbs and segments that others name."""
        return "**" in self.text, -len(self.text)

    def match(self, raw_path: str) -> re.Match[str] | None:
        """Whether an undecoded path is of this form."""
        return self.pattern.fullmatch(raw_path)

    def values(self, match: re.Match[str]) -> dict[str, str]:
        """The variables' values, by field path.

        Raises:
            InvalidArgumentError: they are not UTF-8 in percent-encoding.
        """
        found = zip(self.variables, match.groups(), strict=True)
        return {field: _decoded(raw, field) for (field, _), raw in found}


def _pattern(pattern: str) -> str:
    parts = pattern.split("/")
    return "/".join({"*": SEGMENT, "**": SEGMENTS}.get(part) or re.escape(part) for part in parts)


def _decoded(raw: str, field: str) -> str:
    """Encoded slashes become slashes: clients made from OpenAPI know no parameter that spans segments."""
    if BROKEN_ESCAPE.search(raw):
        raise _unreadable(field, "holds a percent sign that is no escape: write %25")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise _unreadable(field, "is not UTF-8 in percent-encoding") from None


def _unreadable(field: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError.of([Violation(field, message, ErrorReason.INVALID_UNICODE)])
