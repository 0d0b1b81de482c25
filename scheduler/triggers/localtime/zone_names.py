"""What a text that is not an IANA name may mean: one zone for certain, or several, or none.

Certain are CLDR's Windows names, cities, another case of an IANA name, and a city that is misspelled inside its own
region. An offset (UTC+2) and an abbreviation (CEST) fit several zones, so the caller is asked.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

_REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
# Names of states and territories, which are not cities and occur in other countries as well.
_NO_CITIES = frozenset(
    ("act", "lhi", "nsw", "north", "south", "west", "victoria", "queensland", "tasmania", "yancowinna", "easter")
)
_MAX_DISTANCE = 2
_SHORT = 6  # a city with fewer letters may have one wrong letter only
_LONG = 8  # cities with fewer letters that are not in IANA's list resemble too many others
_OFFSET = re.compile(
    r"\(?(?:etc/)?(?:utc|gmt|z)?\s*([+\-\u2212\u2013])\s*([0-9]{1,2})(?::?([0-9]{2})|[.,]([05]0?))?\s*h?\)?(?:\s.*)?",
    re.IGNORECASE | re.ASCII,
)
_CITIES = re.compile(r"\((?:UTC|GMT)\s*([+\-\u2212\u2013]\d{1,2}(?::?\d\d)?)\)\s*(\D+)", re.IGNORECASE)
_MAX_MINUTES = 14 * 60


@dataclass(frozen=True, slots=True)
class Correction:
    """The only zone that the text can mean, and why."""

    zone: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """What fits the text: `zones`, and in addition every zone that has the offset of `minutes` east of UTC.

    `is_offset`: the text is an offset; otherwise it is an abbreviation or a name that several zones share.
    """

    zones: tuple[str, ...] = ()
    minutes: int | None = None
    is_offset: bool = False


def meaning(text: str) -> Correction | Ambiguity | None:
    """What a text that is not an IANA name means; None if that is not known.

    >>> meaning("Mumbai").zone, meaning("GTB Standard Time").zone, meaning("Europe/Bukharest").zone
    ('Asia/Kolkata', 'Europe/Bucharest', 'Europe/Bucharest')
    >>> meaning("(UTC+01:00) Amsterdam, Berlin, Rome").zone
    'Europe/Amsterdam'
    >>> meaning("GMT-5").minutes, meaning("MSK").zones
    (-300, ('Europe/Moscow', 'Europe/Minsk'))
    >>> meaning("Europe/Atlantis")
    """
    listed, minutes = _of_cities(text), offset_minutes(text)
    if listed is not None:
        return listed
    if minutes is not None:
        return Ambiguity(minutes=minutes, is_offset=True)
    words = _words()
    spoken = " ".join(text.casefold().split())
    short = words.long_names.get(spoken, spoken.upper())
    if short in words.abbreviations:
        entry = words.abbreviations[short]
        return Ambiguity(tuple(entry["zones"]), entry.get("minutes"))
    key = _folded(text.replace("\\", "/"))
    if key in words.names:
        return Correction(words.names[key], f"Writes the name as IANA does: {words.names[key]}.")
    if key in words.windows:
        return Correction(words.windows[key], f"Uses {words.windows[key]}, which CLDR assigns to this Windows name.")
    return _of_country(text, words) or _of_place(key, words)


def offset_minutes(text: str) -> int | None:
    """The minutes east of UTC of a text such as `UTC+2`, `GMT-05:30` or `+0200`; None if it is not an offset.

    >>> offset_minutes("UTC+2"), offset_minutes("-05:30"), offset_minutes("UTC"), offset_minutes("UTC+15")
    (120, -330, None, None)
    """
    match = _OFFSET.fullmatch(text.strip())
    if match is None:
        return None
    sign, hours, minutes, decimal = match.groups()
    total = int(hours) * 60 + int(minutes or 0) + (30 if decimal and decimal.startswith("5") else 0)
    return None if total > _MAX_MINUTES or int(minutes or 0) > 59 else total if sign == "+" else -total


def similar_name(text: str) -> str | None:
    """The name that is most similar to the text, for a message; it is not certain enough for a repair."""
    words = _words()
    near = get_close_matches(_folded(text), words.names, n=1, cutoff=0.8)
    return words.names[near[0]] if near else words.cities.get(_folded(text).rpartition("/")[2])


def common_zones() -> tuple[str, ...]:
    """Zones of capitals and large cities, from which the choices of a question are taken."""
    return _words().common


@dataclass(frozen=True, slots=True)
class _Words:
    """The tables, with folded keys. `cities` and `by_region` contain no city that is ambiguous."""

    names: Mapping[str, str]
    windows: Mapping[str, str]
    cities: Mapping[str, str]
    by_region: Mapping[str, Mapping[str, str]]
    abbreviations: Mapping[str, Any]
    long_names: Mapping[str, str]
    common: tuple[str, ...]


def iana_names() -> frozenset[str]:
    """The names in the list of the `tzdata` package."""
    return frozenset((files("tzdata") / "zones").read_text("utf-8").split())


@lru_cache(maxsize=1)
def _words() -> _Words:
    data = json.loads((files("scheduler.triggers.localtime") / "zone_words.json").read_text("utf-8"))
    names = {_folded(name): name for name in sorted(iana_names())} | {"z": "UTC"}
    aliases = {_folded(city): zone for zone, cities in data["cities"].items() for city in cities}
    by_region: dict[str, dict[str, str]] = {_folded(region): {} for region in _REGIONS}
    for city, name in [*((key.rpartition("/")[2], name) for key, name in names.items()), *aliases.items()]:
        region = by_region.get(_folded(name.partition("/")[0]))
        if region is not None and city not in _NO_CITIES:
            region.setdefault(city, name)
    cities = {_folded(city): name for city, name in _cities_of(names.values())}
    return _Words(
        names,
        {_folded(name): zone for name, zone in data["windows"].items()},
        cities | aliases,
        by_region,
        data["abbreviations"],
        data["long_names"],
        tuple(data["common"]),
    )


def _of_country(text: str, words: _Words) -> Correction | None:
    """The zone of `Berlin, Germany` and `Germany/Berlin`."""
    city, comma, country = text.partition(",")
    if not comma and text.count("/") == 1:
        country, comma, city = text.partition("/")
    zone = words.cities.get(_folded(city)) if comma else None
    if zone is None or _folded(country) not in _countries(zone):
        return None
    return Correction(zone, f"Uses {zone}, the zone of this city.")


@lru_cache(maxsize=64)
def _countries(zone: str) -> frozenset[str]:
    """The folded names and codes of the countries that a zone is in."""
    lines = (files("tzdata") / "zoneinfo" / "zone1970.tab").read_text("utf-8").splitlines()
    codes = {code for line in lines if line.split("\t")[2:3] == [zone] for code in line.split("\t")[0].split(",")}
    names = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text("utf-8").splitlines()
    pairs = (line.split("\t") for line in names if not line.startswith("#"))
    return frozenset(_folded(word) for code, name in pairs if code in codes for word in (code, name))


def _cities_of(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The last part of each name with a region and a city; longer names belong to one state or province."""
    for name in names:
        region, _, city = name.partition("/")
        if region in _REGIONS and "/" not in city and _folded(city) not in _NO_CITIES:
            yield city, name


def _of_cities(text: str) -> Correction | None:
    """The zone of `(UTC+01:00) Amsterdam, Berlin, Rome`: that of the first, if all have one clock for two years."""
    match = _CITIES.fullmatch(text.strip())
    minutes = offset_minutes(f"UTC{match[1]}") if match else None
    if match is None or minutes is None:
        return None
    keys = (_folded(city) for city in re.split(r"[,;/]", match[2]))
    zones = [zone for key in keys if (zone := _words().cities.get(key)) is not None]
    clocks = {_clock(zone) for zone in zones}
    if len(clocks) != 1 or minutes not in next(iter(clocks)):
        return None
    return Correction(zones[0], f"Uses {zones[0]}, the zone of these cities.")


def _clock(zone: str) -> tuple[int, ...]:
    """The offsets of a zone in minutes, at the middle of each month of two years."""
    year = datetime.now(UTC).year
    times = (datetime(year + number // 12, number % 12 + 1, 15, tzinfo=ZoneInfo(zone)) for number in range(24))
    return tuple(int((time.utcoffset() or timedelta()).total_seconds()) // 60 for time in times)


def _of_place(key: str, words: _Words) -> Correction | None:
    region, slash, city = key.partition("/")
    if not slash:
        zone = words.cities.get(key)
        return Correction(zone, f"Uses {zone}, the zone of this city.") if zone else None
    city = city.rpartition("/")[2]
    if region not in words.by_region:
        near = [name for name in words.by_region if distance(region, name) <= _MAX_DISTANCE and region[:1] == name[:1]]
        zone = words.by_region[near[0]].get(city) if len(near) == 1 else None
    elif city in words.by_region[region]:
        zone = words.by_region[region][city]
        return Correction(zone, f"Uses {zone}, the zone of this city.")
    else:
        zone = _nearest(city, words.by_region[region])
    return Correction(zone, f"Corrects the spelling: {zone}.") if zone else None


def _nearest(city: str, cities: Mapping[str, str]) -> str | None:
    """The zone of the only cities that differ by one letter, or two of a long name, and not by the first one."""
    limit = _MAX_DISTANCE if len(city) >= _SHORT else 1
    near = [
        (distance(city, city_name), zone)
        for city_name, zone in cities.items()
        if city[:1] == city_name[:1] and (len(city_name) >= _LONG or _folded(zone).partition("/")[2] == city_name)
    ]
    least = min((steps for steps, _ in near), default=limit + 1)
    zones = sorted(zone for steps, zone in near if steps == least)
    return zones[-1] if least <= limit and len({_data(zone) for zone in zones}) == 1 else None


def _data(name: str) -> bytes:
    """The zone's data, which all names of one zone share."""
    return files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def distance(first: str, second: str) -> int:
    """The number of letters to insert, remove, replace or swap with the next one (optimal string alignment).

    >>> distance("bucharets", "bucharest"), distance("chisnau", "chisinau"), distance("omsk", "tomsk")
    (1, 1, 1)
    """
    rows = [list(range(len(second) + 1))]
    for i, letter in enumerate(first, 1):
        row = [i]
        for j, other in enumerate(second, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != other)))
            if i > 1 and j > 1 and letter == second[j - 2] and other == first[i - 2]:
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


def _folded(text: str) -> str:
    """The text without case, accents, blanks and punctuation other than `/` and signs of offsets."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in plain if letter.isalnum() or letter in "/+")
