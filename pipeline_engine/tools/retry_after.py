"""The header Retry-After: how long a tool asks its callers to wait."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pipeline_engine.tools.definition import Tool

MAX_SECONDS = 86_400.0
"""Longest wait that a tool can ask for; a longer one is shortened to it."""
MAX_HELD_TOOLS = 1_000


def retry_after_seconds(text: str, date: str = "", now: datetime | None = None) -> float:
    """Returns the seconds that a Retry-After header asks for; 0 if it is neither a number of seconds nor a date.

    A date is relative to the response's own Date header, so that a clock of the tool that is wrong changes nothing; to
    `now` if the response has no Date.

    >>> retry_after_seconds("3"), retry_after_seconds("soon"), retry_after_seconds("-1")
    (3.0, 0.0, 0.0)
    >>> retry_after_seconds("Fri, 15 Jan 2027 08:00:30 GMT", "Fri, 15 Jan 2027 08:00:00 GMT")
    30.0
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), MAX_SECONDS)
    until = _http_date(text)
    if until is None:
        return 0.0
    since = _http_date(date) or now or datetime.now(UTC)
    return min(max(0.0, (until - since).total_seconds()), MAX_SECONDS)


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


class ToolHolds:
    """The tools that have asked this engine to wait, and until when, in the time of `monotonic` (seconds)."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until: dict[tuple[str, str], float] = {}

    def hold(self, tool: Tool, seconds: float) -> None:
        """Holds further calls of the tool for at least this long."""
        now = self._monotonic()
        if len(self._until) >= MAX_HELD_TOOLS:
            self._until = {key: until for key, until in self._until.items() if until > now}
        key = _key(tool)
        self._until[key] = max(self._until.get(key, 0.0), now + seconds)

    def remaining(self, tool: Tool) -> float:
        """Returns the seconds until the tool may be called."""
        if not self._until:
            return 0.0
        until = self._until.get(_key(tool))
        return 0.0 if until is None else max(0.0, until - self._monotonic())


def _key(tool: Tool) -> tuple[str, str]:
    """Tools of two projects may have the same name; they are the same tool if they also have the same URL."""
    return tool.name, "" if tool.http is None else tool.http.url
