"""Finds the sensitive values of one run in JSON documents, and encrypts and decrypts them.

A value is sensitive because of the place where a tool's definition says so; from then on, it is recognised wherever it
appears again in the run: as a whole string or number, and, from MIN_IN_TEXT characters on, also inside longer texts and
in the encodings of `text_forms`. Booleans, null and empty strings are recognised at their place only.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from ordinaut.json_places import Place, replaced
from ordinaut.sensitive import MASK, PREFIX, SEALED
from pipeline_engine.data.data_keys import DataKeys
from pipeline_engine.data.text_forms import text_forms

MIN_IN_TEXT = 6
"""Characters of the shortest value that is recognised inside a text."""
MAX_PROBES = 1_000_000
"""Lookups in one document, about 0.2 s."""
MAX_IN_TEXT = 1_000
"""Number of values of one run that are recognised inside texts; all others are recognised as whole values."""


class Sealer:
    """The sensitive values of one run. Equal values have equal encrypted texts within the run."""

    def __init__(self, keys: DataKeys, project: str) -> None:
        self._keys = keys
        self._project = project
        self._sealed: dict[bytes, str] = {}
        self._whole: set[str] = set()
        self._in_text: dict[str, dict[int, set[str]]] = {}
        self._long = 0
        self._probes = 0

    def learn(self, value: Any) -> None:
        """Marks a value as sensitive: each string and number in it."""
        for leaf in _leaves(value):
            text = leaf if isinstance(leaf, str) else _dump(leaf).decode()
            if text in self._whole or text == MASK:
                continue
            self._whole.add(text)
            if len(text) >= MIN_IN_TEXT and self._long < MAX_IN_TEXT:
                self._long += 1
                for form in text_forms(text):
                    if len(form) >= MIN_IN_TEXT:
                        by_length = self._in_text.setdefault(form[:MIN_IN_TEXT], {})
                        by_length.setdefault(len(form), set()).add(form)

    def learn_at(self, document: Any, places: Iterable[Place]) -> None:
        """Marks the values at places of a document."""
        for place in places:
            replaced(document, place, self.learn)

    def seal(self, document: Any, places: Sequence[Place] = ()) -> Any:
        """Returns the document with its sensitive values encrypted; those at the places in any case."""
        self._probes = 0
        self.learn_at(document, places)
        for place in sorted(places, key=len):  # an outer place before the places in it
            document = replaced(document, place, _Sensitive)
        return self._replace(document, self._encrypted)

    def mask(self, document: Any) -> Any:
        """Returns the document with `[sensitive]` in place of its sensitive values."""
        self._probes = 0
        return self._replace(document, lambda _value: MASK)

    def holds(self, document: Any) -> bool:
        """Whether a document contains a sensitive value of at least MIN_IN_TEXT characters."""
        self._probes = 0
        texts = (leaf if isinstance(leaf, str) else _dump(leaf).decode() for leaf in _leaves(document, keys=True))
        return any(map(self._found_in, texts))

    def open(self, document: Any) -> Any:
        """Returns the document with its encrypted values decrypted; they are sensitive from now on.

        Raises:
            DataKeyError: a value cannot be decrypted.
        """
        if isinstance(document, str):
            return self._opened(document) if PREFIX in document else document
        if isinstance(document, dict):
            return {self._text_of(self.open(key)): self.open(item) for key, item in document.items()}
        return [self.open(item) for item in document] if isinstance(document, list) else document

    def _opened(self, text: str) -> Any:
        if SEALED.fullmatch(text):
            return self._decrypted(text)
        return SEALED.sub(lambda match: self._text_of(self._decrypted(match.group())), text)

    def _decrypted(self, text: str) -> Any:
        content = self._keys.open(text, self._project)
        value = orjson.loads(content)
        self._sealed.setdefault(content, text)
        self.learn(value)
        return value

    def _encrypted(self, value: Any) -> str:
        content = _dump(value)
        if content not in self._sealed:
            self._sealed[content] = self._keys.seal(content, self._project)
        return self._sealed[content]

    def _replace(self, value: Any, replace: Callable[[Any], str]) -> Any:
        match value:
            case _Sensitive():
                return replace(value.value)
            case dict():
                return {self._replace(key, replace): self._replace(item, replace) for key, item in value.items()}
            case list():
                return [self._replace(item, replace) for item in value]
            case str():
                return self._replace_text(value, replace)
            case bool() | None:
                return value
        return replace(value) if _dump(value).decode() in self._whole else value

    def _replace_text(self, text: str, replace: Callable[[Any], str]) -> str:
        # A text that looks encrypted is encrypted, so that `open` restores it.
        if text in self._whole or PREFIX in text:
            return replace(text)
        matches = self._found_in(text)
        if not matches:
            return text
        if text in matches:
            return replace(text)
        longest_first = sorted(matches, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda match: replace(match.group()), text)

    def _found_in(self, text: str) -> set[str]:
        """Returns the forms of sensitive values in a text, in a time that does not grow with the number of values.

        Every part of MIN_IN_TEXT characters is looked up as the start of a form, and then the parts of the lengths that
        the forms with this start have. After MAX_PROBES of these in one document, a text with such a start counts as
        sensitive as a whole.
        """
        matches: set[str] = set()
        for index in range(len(text) - MIN_IN_TEXT + 1) if self._in_text else ():
            by_length = self._in_text.get(text[index : index + MIN_IN_TEXT])
            if by_length is None:
                continue
            self._probes += len(by_length)
            if self._probes > MAX_PROBES:
                return {text}
            for length, forms in by_length.items():
                if (part := text[index : index + length]) in forms:
                    matches.add(part)
        return matches

    @staticmethod
    def _text_of(value: Any) -> str:
        return value if isinstance(value, str) else _dump(value).decode()


class _Sensitive:
    """Wraps a value at a sensitive place."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value: Any = value.value if isinstance(value, _Sensitive) else value


def _leaves(value: Any, *, keys: bool = False) -> list[Any]:
    """Returns the strings that are not empty and the numbers in a value; with `keys`, those of objects as well."""
    leaves, stack = [], [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(reversed(item.values()))
            if keys:
                stack.extend(item)
        elif isinstance(item, list):
            stack.extend(reversed(item))
        elif not isinstance(item, bool) and item not in {None, ""}:
            leaves.append(item)
    return leaves


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
