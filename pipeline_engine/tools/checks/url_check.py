"""Validates the URL of a tool, and the addresses that its responses name."""

import re
from urllib.parse import urlsplit

from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.tools.url_template import template_problem

MAX_URL = 2048
FORBIDDEN_IN_URL = (
    (re.compile(r"[\x00-\x20\x7f-\x9f\\]"), "a URL must not contain spaces, control characters or backslashes"),
    (re.compile(r"#"), "a URL must not contain a fragment (`#`)"),
    (re.compile(r"\$\{|\{\{"), "a URL must not contain templates; write `{name}` for a value of the input"),
)
HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
REFUSED_PORTS = frozenset({22, 23, 25, 465, 587, 3306, 5432, 6379, 11211, 27017})
"""Ports of services that may interpret parts of an HTTP request as commands (cross-protocol attacks)."""


def url_problem(url: object) -> str | None:
    """Returns why a URL cannot be called, or None. The egress guard checks the address when it connects."""
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL:
        length = f"{len(url)} characters" if isinstance(url, str) else kind_of(url)
        return f"a URL must be a string of 1 to {MAX_URL} characters (got {length})"
    for forbidden, problem in FORBIDDEN_IN_URL:
        if forbidden.search(url):
            return problem
    if (invalid := template_problem(url)) is not None:
        return invalid
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the URL cannot be parsed"
    if parts.scheme not in {"http", "https"}:
        return f"the scheme of a URL must be http or https (got {quoted(parts.scheme)})"
    return _authority_problem(parts.netloc, port)


def _authority_problem(netloc: str, port: int | None) -> str | None:
    if "@" in netloc:
        return "a URL must not contain a user or password; use `auth` with a secret"
    host = netloc if port is None and not netloc.endswith(":") else netloc.rpartition(":")[0]
    if not HOST.fullmatch(host):
        return "the host must be an ASCII name (IDN as `xn--…`) or an IP address"
    if port is not None and (port in REFUSED_PORTS or port == 0):
        return f"port {port} is not allowed for tools"
    return None
