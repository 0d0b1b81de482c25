"""Reads a text as the documents that it contains: JSON or YAML, also with prose or a fence around it."""

import re
from dataclasses import dataclass, field
from typing import Any

from gateway.drafts.reading.json5 import read_json_tree
from gateway.drafts.reading.repairs import Repair, read_tolerantly
from gateway.drafts.reading.yaml import Documents, Duplicate, UnreadableError
from gateway.drafts.tree import Array, Object, Place
from ordinaut.documents.json_text import depth

NESTED_MAX = 128  # brackets; parsers recurse
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^\n]*\n(.*?)^[ \t]*\1[ \t]*$", re.MULTILINE | re.DOTALL)
_OPEN_FENCE = re.compile(r"^[ \t]*(?:```+|~~~+)[ \t]*[\w+-]*[ \t]*\n", re.MULTILINE)
_LANGUAGES = frozenset({"", "yaml", "yml", "json", "json5", "jsonc", "text", "ordinaut"})
_KEY_LINE = re.compile(r"^(?:[A-Za-z_\"'][\w.\"'-]{0,40}\s?[:=](?:[\s\"']|$)|\{|\[|- |---)")
_JSON = re.compile(r"(?:\s|//[^\n]*\n|#[^\n]*\n|/\*(?s:.*?)\*/)*[\[{]")
_DOCUMENT_KEY = re.compile(
    r"^(?:name|title|id|version|pipeline|steps|tasks|jobs|schedule|on|trigger|triggers|description|task|workflow|params|display_name"
    r"|cron|inputs|stages|dag_id|nodes|spec|kind|apiVersion)\s*[:=](?:[\s\"']|$)|^\s*[\[{]|^- |^---",
    re.MULTILINE,
)


@dataclass(slots=True)
class Reading:
    """The documents of a text, and what was repaired to read them."""

    documents: list[Any]
    repairs: list[Repair] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    aliases: list[Place] = field(default_factory=list)


def read_text(text: str) -> Reading:
    """Reads a text of YAML or JSON.

    Raises:
        UnreadableError: it contains no document.
    """
    if depth(text.encode()) > NESTED_MAX:
        raise UnreadableError(f"a document must be nested at most {NESTED_MAX} levels deep", Place(1, 1))
    body, repairs = _body(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    read, more = _read(body)
    documents = [tree for tree in read.trees if tree is not None]
    if not documents or not any(isinstance(tree, Object | Array) for tree in documents):
        raise UnreadableError(
            "the text contains no document: expected an object with `pipeline` or `steps`", Place(1, 1)
        )
    return Reading(documents, [*repairs, *more], read.duplicates, read.aliases)


def _read(body: str) -> tuple[Documents, list[Repair]]:
    if _JSON.match(body):
        try:
            return _json(body)
        except UnreadableError as failure:
            first = failure
        try:
            return read_tolerantly(body)
        except UnreadableError:
            raise first from None
    return read_tolerantly(body)


def _json(body: str) -> tuple[Documents, list[Repair]]:
    documents, found, end = read_json_tree(body)
    lines = body.split("\n")
    repairs: dict[tuple[int, str], Repair] = {}
    for place, why in found:
        line = lines[place.line - 1] if place.line <= len(lines) else ""
        repairs.setdefault((place.line, why), Repair(place, line, "", why))
    rest = body[end:]
    if rest.strip(" \t\r\n;,"):
        if rest.lstrip()[:1] in {"{", "["}:
            more, others = _json("\n" * body[:end].count("\n") + rest.lstrip("\n \t"))
            trees = [*documents.trees, *more.trees]
            return Documents(trees, [*documents.duplicates, *more.duplicates], []), [*repairs.values(), *others]
        last = body[:end].count("\n") + 1
        repairs[last, ""] = Repair(Place(last, 1), rest.strip()[:200], "", "Leaves out the text after the document.")
    return documents, list(repairs.values())


def _body(text: str) -> tuple[str, list[Repair]]:
    """The part of the text that is the document; the number of its lines before it stays, so that places are right."""
    fenced = [match for match in _FENCE.finditer(text) if match[2].lower() in _LANGUAGES and match[3].strip()]
    if fenced:
        return _joined(text, fenced)
    if (match := _OPEN_FENCE.search(text)) is not None and not _DOCUMENT_KEY.search(text[: match.start()]):
        kept = re.split(r"^[ \t]*(?:```+|~~~+)[ \t]*$", text[match.end() :], maxsplit=1, flags=re.MULTILINE)[0]
        return _blank(text[: match.end()]) + kept, [_left_out(text[: match.end()], 1)]
    return _without_prose(text)


def _joined(text: str, fenced: list[re.Match[str]]) -> tuple[str, list[Repair]]:
    parts, end = [], 0
    for index, match in enumerate(fenced):
        blank = _blank(text[end : match.start(3)])
        parts.append(f"---\n{blank[1:]}" if index and blank else blank)
        parts.append(match[3])
        end = match.end(3)
    return "".join(parts), [_left_out(text[: fenced[0].start(3)], 1)]


def _without_prose(text: str) -> tuple[str, list[Repair]]:
    """Leaves out sentences before and after the document."""
    start = _DOCUMENT_KEY.search(text)
    if start is None:
        return text, []
    begin = start.start()
    before = text[:begin]
    repairs = []
    if any(
        not line.startswith(("#", "//")) and not _KEY_LINE.match(line) and line[:1] not in {" ", "%"}
        for line in before.split("\n")
        if line.strip()
    ):
        repairs.append(_left_out(before, 1))
        before = _blank(before)
    else:
        begin = 0
        before = ""
    body = text[begin:]
    if _JSON.match(body):
        return before + body, repairs
    kept, rest = _split_rest(body)
    if rest.strip():
        line = text[: begin + len(kept)].count("\n") + 1
        repairs.append(_left_out(rest, line))
    return before + kept, repairs


def _split_rest(body: str) -> tuple[str, str]:
    """Separates sentences after the last line of a YAML document."""
    lines = body.split("\n")
    end = len(lines)
    while end > 1:
        line = lines[end - 1]
        if not line.strip() or _is_sentence(line):
            end -= 1
        else:
            break
    return "\n".join(lines[:end]), "\n".join(lines[end:])


def _is_sentence(line: str) -> bool:
    """Whether a line that is not nested in a document is neither a key nor an element."""
    if line[:1] in {" ", "\t", "#", "-", "}", "]"} or _KEY_LINE.match(line):
        return False
    return len(line.split()) >= 3 or line.rstrip().endswith((".", "!", "?", ":"))


def _left_out(text: str, line: int) -> Repair:
    return Repair(Place(line, 1), text.strip()[:200], "", "Leaves out the text around the document.")


def _blank(text: str) -> str:
    return "\n" * text.count("\n")
