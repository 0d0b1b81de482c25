"""The calendar agent: `calendar.list_events` from an iCalendar file."""

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import recurring_ical_events
from icalendar import Calendar, Event

from examples.morning_briefing.agent import add_options, serve
from examples.morning_briefing.tool_server import Call, Offer, RejectedError

DEFAULT_FILE = Path(__file__).with_name("calendar.ics")
DEFAULT_ZONE = "UTC"
MAX_WINDOW_DAYS = 366
INPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "start": {"type": "string", "format": "date-time", "description": "First moment, RFC 3339 with offset."},
        "end": {"type": "string", "format": "date-time", "description": "First moment after the window."},
    },
    "required": ["start", "end"],
    "additionalProperties": False,
}
OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "events": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "title": {"type": "string"},
                    "start": {"type": "string", "description": "RFC 3339; a plain date for an all-day event."},
                    "end": {"type": "string", "description": "RFC 3339; a plain date for an all-day event."},
                    "all_day": {"type": "boolean"},
                    "location": {"type": "string"},
                    "line": {"type": "string", "description": "The event in one line, in the calendar's zone."},
                },
                "required": ["title", "start", "end", "all_day", "location", "line"],
            },
        }
    },
    "required": ["events"],
}


class Agenda:
    """The events of one iCalendar file (RFC 5545), recurrences, exceptions and overrides applied."""

    def __init__(self, text: bytes) -> None:
        calendar = Calendar.from_ical(text)
        self._events = recurring_ical_events.of(calendar)
        self._zone = ZoneInfo(str(calendar.get("X-WR-TIMEZONE", DEFAULT_ZONE)))

    def list_events(self, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """What overlaps [start, end), ordered by start; a day begins at midnight of the calendar's own zone."""
        window = start.astimezone(self._zone), end.astimezone(self._zone)
        found = sorted(self._events.between(*window), key=lambda event: self._instant(event.start))
        return [self._as_json(event) for event in found]

    def _instant(self, value: date) -> datetime:
        """An event's edge as a moment: dates and floating times are read in the calendar's zone."""
        if not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone follows
        return value if value.tzinfo else value.replace(tzinfo=self._zone)

    def _as_json(self, event: Event) -> dict[str, Any]:
        all_day = not isinstance(event.start, datetime)
        title, location = str(event.get("SUMMARY", "")), str(event.get("LOCATION", ""))
        when = "all day" if all_day else f"{self._instant(event.start).astimezone(self._zone):%H:%M}"
        return {
            "title": title,
            "start": event.start.isoformat() if all_day else self._instant(event.start).isoformat(),
            "end": event.end.isoformat() if all_day else self._instant(event.end).isoformat(),
            "all_day": all_day,
            "location": location,
            "line": f"{when:>7}  {title}" + (f" ({location})" if location else ""),
        }


def list_events(agenda: Agenda, call: Call) -> Mapping[str, Any]:
    """Answers `calendar.list_events`.

    Raises:
        RefusedError: the window is unreadable, empty or longer than a year.
    """
    start, end = _instant(call.input["start"]), _instant(call.input["end"])
    if not start < end:
        raise RejectedError("end must come after start")
    if (end - start).days > MAX_WINDOW_DAYS:
        raise RejectedError(f"the window is longer than {MAX_WINDOW_DAYS} days")
    return {"events": agenda.list_events(start, end)}


def _instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as unreadable:
        raise RejectedError(f"{text!r} is not an RFC 3339 time") from unreadable
    if moment.tzinfo is None:
        raise RejectedError(f"{text!r} has no offset")
    return moment


def offer(agenda: Agenda) -> Offer:
    """The tool as it is registered."""
    return Offer(
        name="calendar.list_events",
        description="Lists the calendar's events between two moments, recurring and all-day ones included.",
        effect="READ",
        input_schema=INPUT_SCHEMA,
        output_schema=OUTPUT_SCHEMA,
        answer=lambda call: list_events(agenda, call),
    )


def main() -> None:
    """Reads the command line and serves until SIGTERM."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=DEFAULT_FILE, help="the iCalendar file")
    add_options(parser)
    options = parser.parse_args()
    serve("calendar", [offer(Agenda(options.file.read_bytes()))], options)


if __name__ == "__main__":
    main()
