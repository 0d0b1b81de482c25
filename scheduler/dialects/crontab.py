"""Lines of a crontab with a user and a command, Jenkins' `H`, and the wrappers of Amazon EventBridge.

Sources: crontab(5); the help of Jenkins' build triggers; the manual of Amazon EventBridge Scheduler.
"""

import re
from typing import NamedTuple

from scheduler.dialects.cron_dialects import FIVE_FIELDS, calendars
from scheduler.dialects.words import MONTHS, WEEKDAYS
from scheduler.triggers.cron.parse import NICKNAMES, parse_cron
from scheduler.triggers.problem import ScheduleError

_FIELD = re.compile(r"[0-9*?,/#A-Za-z\u00c0-\u024f-]+")
_HASH = re.compile(r"H(?:\(([0-9]{1,2})-([0-9]{1,2})\))?(?:/([0-9]{1,2}))?", re.ASCII)
_WRAPPED = re.compile(r"(cron|at)\s*\((.*)\)", re.ASCII | re.IGNORECASE | re.DOTALL)
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)
_NAMES = {**WEEKDAYS, **MONTHS}
_LIMITS = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))


class Line(NamedTuple):
    """A line of a crontab: the time, the user of a system crontab (or an empty text), the command."""

    time: str
    user: str
    command: str


def split_line(text: str) -> Line | None:
    """The parts of a crontab line; None if the text is not a time with a command.

    A first word without `/`, `.` or `=` in front of further words is taken for the user.

    >>> split_line("0 3 * * * root /usr/bin/backup --all")
    Line(time='0 3 * * *', user='root', command='/usr/bin/backup --all')
    """
    size = 1 if text.lstrip().startswith("@") else 5
    *head, rest = text.split(maxsplit=size) if len(text.split()) > size else ("",)
    if not rest or not _is_time(head) or all(_is_field(word) for word in rest.split()):
        return None
    user, _, command = rest.rstrip().partition(" ")
    if command and _USER.fullmatch(user) and (user == "root" or _is_path(command.split()[0])):
        return Line(" ".join(head), user, command.lstrip())
    return Line(" ".join(head), "", rest.rstrip())


def _is_time(head: list[str]) -> bool:
    if len(head) == 1:
        return head[0].lower() in NICKNAMES
    return len(head) == 5 and all(_FIELD.fullmatch(word) for word in head) and bool(calendars(head, FIVE_FIELDS)[0])


def _is_field(word: str) -> bool:
    """Whether the word may be a field of cron, so that the line is rather one of another dialect."""
    names = re.split("[-,]", word.lower())
    return bool(re.fullmatch(r"[0-9*?,/LW#-]+", word) and word != "/") or all(name in _NAMES for name in names)


def _is_path(word: str) -> bool:
    return word.startswith(("/", "~", "$", ".")) or "=" in word or "/" in word


def unwrapped(text: str) -> tuple[str, str] | None:
    """The name and the content of `cron(…)` and `at(…)`."""
    match = _WRAPPED.fullmatch(text)
    return (match[1].lower(), match[2].strip()) if match else None


def without_hash(words: list[str]) -> tuple[str, str] | None:
    """A Jenkins expression with the first and with the middle value in place of each H; None without an H.

    >>> without_hash("H/20 H(2-4) * * *".split())
    ('*/20 2 * * *', '10-59/20 3 * * *')
    """
    if len(words) != 5 or not any(_HASH.fullmatch(word) for word in words):
        return None
    first = " ".join(_hashed(word, limits, middle=False) for word, limits in zip(words, _LIMITS, strict=True))
    middle = " ".join(_hashed(word, limits, middle=True) for word, limits in zip(words, _LIMITS, strict=True))
    try:
        parse_cron(first)
        parse_cron(middle)
    except ScheduleError:
        return None
    return first, middle


def _hashed(word: str, limits: tuple[int, int], *, middle: bool) -> str:
    match = _HASH.fullmatch(word)
    if match is None:
        return word
    low, high = (int(match[1]), int(match[2])) if match[1] else limits
    if match[3] is None:
        return str((low + high + 1) // 2 if middle else low)
    start = low + (min(int(match[3]), high - low) // 2 if middle else 0)
    whole = (start, high) == limits and limits != _LIMITS[2]
    span = "*" if whole else f"{start}-{high}"
    return f"{span}/{match[3]}"
