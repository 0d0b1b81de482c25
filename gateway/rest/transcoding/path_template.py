"""Path templates of `google.api.http` such as `/v1/{name=tasks/*}:run`. Source: google/api/http.proto."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.api.violations import got
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

VARIABLE = re.compile(r"\{([a-z0-9_.]+)(?:=([^}]+))?\}")
SEGMENT = "[^/:]+"  # a colon begins a custom verb
SEGMENTS = "[^/]+(?:/[^/]+)*"
BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A parsed template: `variables` are field paths with their patterns, in order.

    >>> template = PathTemplate.parse("/v1/{name=tasks/*}:run")
    >>> template.variables
    (('name', 'tasks/*'),)
    >>> template.values(template.match("/v1/tasks/a%2Db:run"))
    {'name': 'tasks/a-b'}
    >>> template.match("/v1/tasks/a/b:run") is None
    True
    """

    text: str
    variables: tuple[tuple[str, str], ...]
    pattern: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> "PathTemplate":
        """Parses a template of literal segments, variables and a verb."""
        variables = tuple((match[1], match[2] or "*") for match in VARIABLE.finditer(text))
        literals = VARIABLE.split(text)[::3]
        groups = [f"({_pattern(pattern)})" for _, pattern in variables]
        joined = [part for pair in zip(map(re.escape, literals), [*groups, ""], strict=True) for part in pair]
        return cls(text, variables, re.compile("".join(joined)))

    @property
    def rank(self) -> tuple[bool, int]:
        """The sort key of routes: more specific templates first, because `**` also matches segments of others."""
        return "**" in self.text, -len(self.text)

    def match(self, raw_path: str) -> re.Match[str] | None:
        """Matches a path that is still percent-encoded."""
        return self.pattern.fullmatch(raw_path)

    def values(self, match: re.Match[str]) -> dict[str, str]:
        """Returns the decoded values of the variables, by field path.

        Raises:
            InvalidArgumentError: a value is not valid percent-encoded UTF-8.
        """
        pairs = zip(self.variables, match.groups(), strict=True)
        return {field: _decoded(raw, field) for (field, _), raw in pairs}


def _pattern(pattern: str) -> str:
    parts = pattern.split("/")
    return "/".join({"*": SEGMENT, "**": SEGMENTS}.get(part) or re.escape(part) for part in parts)


def _decoded(raw: str, field: str) -> str:
    """Decodes a value, including slashes: clients generated from OpenAPI encode those of multi-segment parameters."""
    if BROKEN_ESCAPE.search(raw):
        raise _unreadable(field, f"must be percent-encoded; write % as %25 {got(raw)}")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise _unreadable(field, f"must be percent-encoded UTF-8 {got(raw)}") from None


def _unreadable(field: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError.of([Violation(field, message, ErrorReason.INVALID_UNICODE)])
