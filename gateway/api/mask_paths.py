"""Paths of field masks: names joined by dots, with keys of maps and of free JSON. Source: AIP-161."""

import re
from dataclasses import dataclass

ESCAPED = "``"
PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+")
NAME = re.compile(r"`(?P<quoted>(?:[^`]|``)+)`|(?P<plain>[^.`]+)")
MERGE = ".*"


@dataclass(frozen=True, slots=True)
class MaskPath:
    """A parsed path; `merges`: it ends with `.*` and changes only what the request has set below it."""

    names: tuple[str, ...]
    merges: bool


def parse_path(path: str) -> MaskPath | None:
    """Parses a path; None if it is malformed.

    >>> parse_path("run_policy.priority")
    MaskPath(names=('run_policy', 'priority'), merges=False)
    >>> parse_path("labels.`team.name`").names, parse_path("params.*").merges
    (('labels', 'team.name'), True)
    >>> parse_path("a..b") is None
    True
    """
    text = path.removesuffix(MERGE)
    names: list[str] = []
    end = 0
    while match := NAME.match(text, end):
        names.append(match["plain"] or match["quoted"].replace(ESCAPED, "`"))
        end = match.end()
        if end == len(text):
            return MaskPath(tuple(names), merges=text != path)
        if text[end] != ".":
            return None
        end += 1
    return None


def quoted(key: str) -> str:
    """A key as a path writes it: in backticks unless it consists of letters, digits and underscores.

    >>> quoted("team"), quoted("team.name")
    ('team', '`team.name`')
    """
    return key if PLAIN_NAME.fullmatch(key) else f"`{key.replace('`', ESCAPED)}`"
