"""Which responses of an HTTP tool are an output, and what the output contains: `ordinaut.v1.HttpResponse`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STATUSES = re.compile(r"[2-5]xx|[2-5]\d\d(?:-[2-5]\d\d)?")
DEFAULT_SUCCESS = ("2xx",)


@dataclass(frozen=True, slots=True)
class ResponseRule:
    """The statuses of an output; `envelope`: it holds status, `headers` and body, instead of the body alone."""

    success: tuple[range, ...] = (range(200, 300),)
    envelope: bool = False
    headers: tuple[str, ...] = ()

    def accepts(self, status: int) -> bool:
        """Whether the status is that of an output."""
        return any(status in statuses for statuses in self.success)

    def output(self, status: int, headers: Mapping[str, str], body: Any) -> Any:
        """Returns the output for a parsed body."""
        return envelope_of(status, headers, body, self.headers) if self.envelope else body


def envelope_of(status: int, headers: Mapping[str, str], body: Any, names: Sequence[str]) -> dict[str, Any]:
    """Returns a response as data, with the named headers; several headers of one name are joined."""
    return {"status": status, "headers": {name: _header(headers, name) for name in names}, "body": body}


def _header(headers: Mapping[str, str], name: str) -> str | None:
    get_all = getattr(headers, "getall", None)
    values = get_all(name, []) if get_all is not None else [headers[name]] if name in headers else []
    return ", ".join(values).encode("utf-8", "replace").decode().replace("\0", "") if values else None


def statuses_of(text: str) -> range:
    """Returns the statuses of a valid text.

    >>> statuses_of("404"), statuses_of("2xx"), statuses_of("200-204")
    (range(404, 405), range(200, 300), range(200, 205))
    """
    first, _, last = text.replace("x", "0").partition("-")
    end = int(last) if last else int(first) + (99 if "x" in text else 0)
    return range(int(first), end + 1)


def read_response_rule(value: object) -> ResponseRule:
    """Reads a validated `ordinaut.v1.HttpResponse` as JSON."""
    if not isinstance(value, dict):
        return ResponseRule()
    success = tuple(statuses_of(text) for text in value.get("success") or DEFAULT_SUCCESS)
    headers = tuple(dict.fromkeys(name.lower() for name in value.get("headers") or ()))
    return ResponseRule(success, bool(value.get("envelope")), headers)
