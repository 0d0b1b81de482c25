"""Where a secret may go: the tools, hosts and places that its binding names.

A binding is the file `NAME.binding.json` in the folder of the secret, such as
`{"tools": ["mail.*"], "hosts": ["api.mail.example"], "in": ["AUTH"]}`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

AUTH = "AUTH"
WITH = "WITH"
PLACES = frozenset({AUTH, WITH})
FIELDS = frozenset({"tools", "hosts", "in"})
MAX_BINDING_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Destination:
    """A tool, and the host and port of the URL that it is called with."""

    tool: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Binding:
    """Globs of tool names; hosts, each with an optional port; and places, AUTH or WITH."""

    tools: Sequence[str]
    hosts: Sequence[str]
    places: frozenset[str]

    def permits(self, destination: Destination, place: str) -> bool:
        """Whether the secret may go to this tool, host and place. A host without a port permits every port."""
        host = _host(destination.host)
        return (
            place in self.places
            and any(fnmatchcase(destination.tool, glob) for glob in self.tools)
            and any(entry in {host, f"{host}:{destination.port}"} for entry in self.hosts)
        )


def read_binding(text: bytes) -> Binding:
    """Reads a binding; without `in`, both places are permitted.

    Raises:
        ValueError: it is not an object with these fields; the message gives the reason.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None
    if not isinstance(document, dict) or not {"tools", "hosts"} <= set(document) <= FIELDS:
        raise ValueError("must be an object with the fields tools, hosts and, optionally, in")
    places = _texts(document, "in") if "in" in document else sorted(PLACES)
    if not set(places) <= PLACES:
        raise ValueError("`in` must contain only AUTH and WITH")
    return Binding(_texts(document, "tools"), [_entry(text) for text in _texts(document, "hosts")], frozenset(places))


def _texts(document: dict[str, Any], field: str) -> list[str]:
    value = document[field]
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f"`{field}` must be a list of at least one text")
    return value


def _entry(text: str) -> str:
    """A host in the form that `_host` gives it, with its port if it has one; IPv6 with a port is `[::1]:80`."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return f"{_host(host)}{port}"
    host, colon, port = text.partition(":")
    return _host(text) if ":" in port else f"{_host(host)}{colon}{port}"


def _host(text: str) -> str:
    return text.lower().rstrip(".")
