"""Removes from a text what editors and people add to it: quotes, dashes, blanks, comments, a zone in front."""

import re
import unicodedata
from typing import NamedTuple

from scheduler.dialects.translation import InexpressibleError
from scheduler.triggers.localtime.zone import zone_names

MAX_LENGTH = 512
_DASHES = re.compile(r"[\u00ad\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_ASTERISKS = re.compile(r"[\u2217\u204e\u22c6\u2731\uff0a]")
_QUOTES = "\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_KEY = re.compile(r"(?:-\s*)?(?:cron|rrule|once|interval|schedule)\s*[:=]\s*(?=\S)", re.IGNORECASE)
_COMMENT = re.compile(r"\s#(?=[\s#A-Za-z]|$).*$")
_ZONE = re.compile(r"(?:CRON_)?TZ\s*=\s*(\S+)\s+(.+)", re.DOTALL)


class Cleaned(NamedTuple):
    """`text` is one line; `zone` is the IANA zone of a `TZ=` in front of it, or empty."""

    text: str
    zone: str


def clean(text: str) -> Cleaned:
    """The text in ASCII punctuation, without quotes around it and a comment after it.

    >>> clean("'0 9 * * 1\u20135  # office hours'")
    Cleaned(text='0 9 * * 1-5', zone='')
    >>> clean("CRON_TZ=Asia/Tokyo 0 9 * * *")
    Cleaned(text='0 9 * * *', zone='Asia/Tokyo')

    Raises:
        InexpressibleError: the zone in front is not an IANA zone.
    """
    text = unicodedata.normalize("NFKC", _ASTERISKS.sub("*", _DASHES.sub("-", text)))
    text = _unquoted(" ".join(_INVISIBLE.sub("", text).split()))
    text = _KEY.sub("", text, count=1) if _KEY.match(text) and "FREQ" not in text.upper() else text
    text = _unquoted(_COMMENT.sub("", _unquoted(text)).strip(" ;,")).rstrip(".")
    match = _ZONE.fullmatch(text)
    if match is None:
        return Cleaned(text, "")
    name = match[1].strip(_QUOTES + ";")
    if name not in zone_names():
        raise InexpressibleError(f'"{name[:64]}" is not an IANA time zone such as Europe/Chisinau')
    return Cleaned(_unquoted(match[2]), name)


def _unquoted(text: str) -> str:
    """Without quotes at both ends; one at the end alone may belong to a command."""
    text = text.strip()
    while len(text) > 1 and text[0] in _QUOTES:
        text = text[1:-1].strip() if text[-1] in _QUOTES else text[1:].strip()
    return text
