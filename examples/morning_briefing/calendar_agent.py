"""The calendar agent: `calendar.list_events` reads an iCalendar file."""

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
        "start": {
            "type": "string",
            "format": "date-time",
            "description": "Start of the time range, RFC 3339 with offset.",
        },
        "end": {"type": "string", "format": "date-time", "description": "End of the time range, exclusive."},
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
                    "line": {
                        "type": "string",
                        "description": "The event in one line, in the time zone of the calendar.",
                    },
                },
                "required": ["title", "start", "end", "all_day", "location", "line"],
            },
        }
    },
    "required": ["events"],
}


class Agenda:
    """The events of one iCalendar file (RFC 5545), including recurrences, exceptions and overrides."""

    def __init__(self, text: bytes) -> None:
        calendar = Calendar.from_ical(text)
        self._events = recurring_ical_events.of(calendar)
        self._zone = ZoneInfo(str(calendar.get("X-WR-TIMEZONE", DEFAULT_ZONE)))

    def list_events(self, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """Events that overlap [start, end), ordered by start; days start at midnight in its time zone."""
        window = start.astimezone(self._zone), end.astimezone(self._zone)
        events = sorted(self._events.between(*window), key=lambda event: self._instant(event.start))
        return [self._as_json(event) for event in events]

    def _instant(self, value: date) -> datetime:
        """The start or end of an event as an instant; dates and floating times are in the time zone of the calendar."""
        if not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone is added below
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
    """Handles a call of `calendar.list_events`.

    Raises:
        RejectedError: the time range is malformed, empty or longer than a year.
    """
    start, end = _instant(call.input["start"]), _instant(call.input["end"])
    if not start < end:
        raise RejectedError("end must be after start")
    if (end - start).days > MAX_WINDOW_DAYS:
        raise RejectedError(f"the time range must be at most {MAX_WINDOW_DAYS} days (got {(end - start).days})")
    return {"events": agenda.list_events(start, end)}


def _instant(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as unreadable:
        raise RejectedError(f"must be an RFC 3339 timestamp (got {text!r})") from unreadable
    if time.tzinfo is None:
        raise RejectedError(f"the timestamp must have an offset (got {text!r})")
    return time


def offer(agenda: Agenda) -> Offer:
    """The definition of the tool."""
    return Offer(
        name="calendar.list_events",
        description="Lists the events of the calendar in a time range, including recurring and all-day events.",
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
