"""The almanac agent: `almanac.today` computes sun and moon for a city."""

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from astral import LocationInfo, moon
from astral.geocoder import database, lookup
from astral.sun import sunrise, sunset

from examples.morning_briefing.agent import add_options, serve
from examples.morning_briefing.tool_server import Call, Offer, RejectedError

CITIES = database()
LUNATION = 28.0  # astral counts a phase from 0 (new) to 28
PHASES = (
    "new moon",
    "waxing crescent",
    "first quarter",
    "waxing gibbous",
    "full moon",
    "waning gibbous",
    "last quarter",
    "waning crescent",
)
INPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "description": "A capital or a large city, in English."},
        "date": {
            "type": "string",
            "description": "A date, or a timestamp, which is converted to the local date of the city.",
        },
    },
    "required": ["city", "date"],
    "additionalProperties": False,
}
OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "date": {"type": "string", "format": "date"},
        "sunrise": {"type": "string", "description": "Local time, HH:MM."},
        "sunset": {"type": "string", "description": "Local time, HH:MM."},
        "moon": {"enum": list(PHASES)},
    },
    "required": ["city", "date", "sunrise", "sunset", "moon"],
}


def today(call: Call) -> Mapping[str, Any]:
    """Handles a call of `almanac.today`.

    Raises:
        RejectedError: the city is unknown, or the date is malformed.
    """
    place = _place(call.input["city"])
    zone = ZoneInfo(place.timezone)
    day = _day(call.input["date"], zone)
    return {
        "city": place.name,
        "date": day.isoformat(),
        "sunrise": f"{sunrise(place.observer, date=day, tzinfo=zone):%H:%M}",
        "sunset": f"{sunset(place.observer, date=day, tzinfo=zone):%H:%M}",
        "moon": moon_name(moon.phase(day)),
    }


def moon_name(phase: float) -> str:
    """The name of the eighth of the lunation around `phase` (0 ≤ phase < 28)."""
    return PHASES[round(phase / LUNATION * len(PHASES)) % len(PHASES)]


def _place(city: str) -> LocationInfo:
    try:
        place = lookup(city, CITIES)
    except KeyError as unknown:
        raise RejectedError(f"unknown city {city!r}") from unknown
    if not isinstance(place, LocationInfo):
        raise RejectedError(f"city must be a city (got region {city!r})")
    return place


def _day(text: str, zone: tzinfo) -> date:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as unreadable:
        raise RejectedError(f"date must be a date or a timestamp (got {text!r})") from unreadable
    return time.astimezone(zone).date() if time.tzinfo else time.date()


OFFER = Offer(
    name="almanac.today",
    description="Returns sunrise, sunset and the phase of the moon for a city and a date.",
    effect="READ",
    input_schema=INPUT_SCHEMA,
    output_schema=OUTPUT_SCHEMA,
    answer=today,
)


def main() -> None:
    """Reads the command line and serves until SIGTERM."""
    parser = ArgumentParser(description=__doc__)
    add_options(parser)
    serve("almanac", [OFFER], parser.parse_args())


if __name__ == "__main__":
    main()
