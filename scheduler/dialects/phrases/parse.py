"""Parses a phrase such as `every weekday at 9` or `luni și joi la 18:30` into clauses.

A phrase is a sequence of clauses in any order. Each matches one production of its language; together they must cover
the whole text, and no two may set the same part.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

from scheduler.dialects.fields import UnfitError
from scheduler.dialects.phrases import english, romanian
from scheduler.dialects.phrases.clauses import PARTS, Clauses
from scheduler.dialects.phrases.patterns import productions
from scheduler.dialects.words import plain

LANGUAGES = (english, romanian)
MAX_LENGTH = 200


def parse_phrase(text: str) -> Clauses | None:
    """The clauses of a phrase, or None if no language has it.

    >>> parse_phrase("every weekday at 9").times
    (32400,)
    """
    text = plain(text).replace(",", " , ").strip(" .!")
    text = " ".join(text.split())
    if not text or len(text) > MAX_LENGTH:
        return None
    for language in LANGUAGES:
        try:
            clauses = _parse(text, language)
        except UnfitError:
            continue
        if clauses is not None:
            return clauses
    return None


def _parse(text: str, language: ModuleType) -> Clauses | None:
    if opening := re.match(language.OPENING, text):
        text = text[opening.end() :]
    clauses, place = Clauses(), 0
    while place < len(text):
        name, match = _longest(text, place, language)
        if match is None:
            return None
        clauses = _joined(clauses, PARTS[name](match, language))
        place = match.end()
        while place < len(text) and text[place] in " ,":
            place += 1
    return clauses


def _longest(text: str, place: int, language: ModuleType) -> tuple[str, re.Match[str] | None]:
    """The production that matches most of the text from that place on, up to the end of a word."""
    best: tuple[str, re.Match[str] | None] = ("", None)
    for name, pattern in productions(language).items():
        match = pattern.match(text, place)
        if match and match.end() > place and (best[1] is None or match.end() > best[1].end()):
            best = (name, match)
    return best


def _joined(clauses: Clauses, parts: Mapping[str, Any]) -> Clauses:
    for name, value in parts.items():
        if getattr(clauses, name) is not None:
            raise UnfitError(f"{name} is named twice")
        clauses = replace(clauses, **{name: value})
    return clauses
