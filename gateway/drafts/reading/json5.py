"""Reads JSON as people write it: comments, trailing commas, single quotes, bare keys, values of Python."""

import json
import re
from bisect import bisect_right
from typing import Any

from gateway.drafts.reading.yaml import Documents, Duplicate, UnreadableError
from gateway.drafts.tree import Array, Object, Place
from ordinaut.documents.json_text import MAX_DIGITS
from ordinaut.limits import MAX_JSON_DEPTH

_SPACE = re.compile(r"(?:\s|\ufeff|\u00a0|//[^\n]*|\#[^\n]*|/\*(?s:.*?)\*/)+")
_PLAIN_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"[-+]?(?:0x[0-9A-Fa-f]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])")
_STRICT_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[A-Za-z_$][\w$.-]*")
_STRICT_TEXT = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"')
_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u201d": "\u201d"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_OTHER_WORDS: dict[str, Any] = {
    "True": True,
    "False": False,
    "None": None,
    "undefined": None,
    "TRUE": True,
    "FALSE": False,
}
Repairs = list[tuple[Place, str]]


def read_json_tree(text: str) -> tuple[Documents, Repairs, int]:
    """Reads one JSON value at the beginning of the text.

    Returns the document, each deviation from JSON with its place, and the offset of the end of the value.

    Raises:
        UnreadableError: no tolerance makes it JSON.
    """
    reader = _Reader(text)
    try:
        value = reader.value(1)
    except RecursionError:
        raise UnreadableError("nested too deeply", Place()) from None
    return Documents([value], reader.duplicates, []), reader.repairs, reader.at


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.duplicates: list[Duplicate] = []
        self.repairs: Repairs = []
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._space()

    def place(self, offset: int) -> Place:
        line = bisect_right(self._lines, offset)
        return Place(line, offset - self._lines[line - 1] + 1)

    def value(self, depth: int) -> Any:
        if depth > MAX_JSON_DEPTH:
            raise UnreadableError(
                f"a document must be nested at most {MAX_JSON_DEPTH} levels deep", self.place(self.at)
            )
        character = self.text[self.at : self.at + 1]
        if character == "{":
            return self._object(depth)
        if character == "[":
            return self._array(depth)
        if character in _QUOTES and character:
            return self._string()
        if (match := _NUMBER.match(self.text, self.at)) is not None:
            return self._number(match)
        if (match := _WORD.match(self.text, self.at)) is not None:
            return self._word(match)
        raise UnreadableError(
            f"expected a value, found {character!r}" if character else "the text ends", self.place(self.at)
        )

    def _object(self, depth: int) -> Object:
        result = Object(place=self.place(self.at))
        self.at += 1
        self._space()
        while not self._closes("}"):
            start = self.at
            key = self._key()
            self._space()
            if not self._takes(":"):
                if not self._takes("="):
                    raise UnreadableError("expected `:` after a key", self.place(self.at))
                self._repaired(start, "Writes `:` between key and value.")
            self._space()
            value = self.value(depth + 1)
            if key in result:
                self.duplicates.append(Duplicate(result, key, result[key], self.place(start)))
            result[key] = value
            result.places[key] = self.place(start)
            self._separator("}")
        return result

    def _array(self, depth: int) -> Array:
        result = Array(place=self.place(self.at))
        self.at += 1
        self._space()
        while not self._closes("]"):
            result.places.append(self.place(self.at))
            result.append(self.value(depth + 1))
            self._separator("]")
        return result

    def _separator(self, closing: str) -> None:
        self._space()
        comma = self.at
        if self._takes(","):
            self._space()
            while self._takes(","):
                self._repaired(comma, "Removes a comma.")
                self._space()
            if self.text[self.at : self.at + 1] == closing:
                self._repaired(comma, "Removes the comma after the last element.")
        elif self.at >= len(self.text):
            self._repaired(self.at, f"Adds the missing `{closing}`.")
        elif self.text[self.at] != closing:
            if self.text[self.at] in "}]":
                raise UnreadableError(f"expected `{closing}`, found {self.text[self.at]!r}", self.place(self.at))
            self._repaired(self.at, "Adds the missing comma.")

    def _closes(self, closing: str) -> bool:
        if self.at >= len(self.text):
            if not self.repairs or not self.repairs[-1][1].startswith("Adds the missing `"):
                self._repaired(self.at, f"Adds the missing `{closing}`.")
            return True
        return self._takes(closing)

    def _key(self) -> str:
        character = self.text[self.at]
        if character in _QUOTES:
            return self._string()
        match = _WORD.match(self.text, self.at) or _NUMBER.match(self.text, self.at)
        if match is None:
            raise UnreadableError(f"expected a key, found {character!r}", self.place(self.at))
        self._repaired(self.at, "Puts the key in quotes.")
        self.at = match.end()
        return match.group()

    def _string(self) -> str:
        strict = _STRICT_TEXT.match(self.text, self.at)
        if strict is not None:
            self.at = strict.end()
            text: str = json.loads(strict.group())
            return text
        start, closing = self.at, _QUOTES[self.text[self.at]]
        self._repaired(start, "Writes the text as JSON, in double quotes.")
        self.at += 1
        parts: list[str] = []
        while True:
            character = self.text[self.at : self.at + 1]
            if not character:
                raise UnreadableError("the quote is not closed", self.place(start))
            self.at += 1
            if character == closing:
                return "".join(parts)
            parts.append(self._escape() if character == "\\" else character)

    def _escape(self) -> str:
        character = self.text[self.at : self.at + 1]
        self.at += 1
        digits = self.text[self.at : self.at + 4]
        if character == "u" and re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
            self.at += 4
            return chr(int(digits, 16))
        return _ESCAPES.get(character, character)

    def _number(self, match: re.Match[str]) -> Any:
        start, self.at, text = self.at, match.end(), match.group()
        if not _STRICT_NUMBER.fullmatch(text):
            self._repaired(start, "Writes the number as JSON.")
        if "x" in text:
            return int(text, 16)
        if set(text) & set(".eE"):
            return float(text)
        return int(text) if len(text) <= MAX_DIGITS else text

    def _word(self, match: re.Match[str]) -> Any:
        word, start = match.group(), self.at
        self.at = match.end()
        if word in _WORDS:
            return _WORDS[word]
        if word in _OTHER_WORDS:
            self._repaired(start, f"Writes `{json.dumps(_OTHER_WORDS[word])}`.")
            return _OTHER_WORDS[word]
        raise UnreadableError(f"expected a value, found `{word[:40]}`", self.place(start))

    def _takes(self, character: str) -> bool:
        if self.text[self.at : self.at + 1] != character:
            return False
        self.at += 1
        return True

    def _space(self) -> None:
        match = _PLAIN_SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        if self.text[self.at : self.at + 1] in {"/", "#", "\u00a0", "\ufeff"} and (
            (other := _SPACE.match(self.text, self.at)) is not None
        ):
            self._repaired(self.at, "Removes what JSON does not allow between values, such as a comment.")
            self.at = other.end()

    def _repaired(self, offset: int, why: str) -> None:
        self.repairs.append((self.place(offset), why))
