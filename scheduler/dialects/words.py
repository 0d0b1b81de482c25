"""Names of weekdays, months and numbers in English and Romanian, without diacritics."""

import unicodedata

from scheduler.description.english import English
from scheduler.description.romanian import Romanian

_LANGUAGES = (English, Romanian)


def plain(text: str) -> str:
    """Lower case without diacritics.

    >>> plain("Sâmbătă")
    'sambata'
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _numbered(names: list[str], first: int) -> dict[str, int]:
    return {plain(name): number for number, name in enumerate(names, first)}


def _short(names: dict[str, int], *lengths: int) -> dict[str, int]:
    return {name[:length]: number for length in lengths for name, number in names.items() if len(name) > length}


_ENGLISH_DAYS = _numbered(list(English.weekday_names), 0)
_ENGLISH_MONTHS = _numbered(list(English.month_names), 1)
ENGLISH_WEEKDAYS = {**_short(_ENGLISH_DAYS, 3), "tues": 1, "weds": 2, "thur": 3, "thurs": 3, **_ENGLISH_DAYS}
ENGLISH_MONTHS = {**_short(_ENGLISH_MONTHS, 3), "sept": 9, **_ENGLISH_MONTHS}
ROMANIAN_WEEKDAYS = {
    **_numbered(list(Romanian.weekday_names), 0), "lunea": 0, "martea": 1, "miercurea": 2, "joia": 3, "vinerea": 4,
    "sambata": 5, "duminica": 6,
}  # fmt: skip
ROMANIAN_MONTHS = _numbered(list(Romanian.month_names), 1)
WEEKDAYS = {**ROMANIAN_WEEKDAYS, **ENGLISH_WEEKDAYS}
"""Monday is 0. No name is a weekday in one language and another one in the other."""
MONTHS = {**ROMANIAN_MONTHS, **ENGLISH_MONTHS}
