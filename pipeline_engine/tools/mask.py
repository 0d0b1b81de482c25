"""Takes secrets out of what a tool says: a secret that comes back is not recorded."""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, quote_plus

from yarl import URL

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Output


class Mask:
    """Some secrets, by name, and `more` texts with the names of theirs; `[secret NAME]` stands where one stood.

    What is found is a value as it is, and as JSON, URLs and Basic authentication write it. A tool that means to tell
    a secret can still do so, in pieces or in a cipher: who gets a secret has it.
    """

    def __init__(self, secrets: Mapping[str, str], more: Mapping[str, str] = MappingProxyType({})) -> None:
        forms = {form: name for name, value in secrets.items() for form in _forms(value)} | dict(more)
        longest_first = sorted(forms, key=len, reverse=True)
        self._names = forms
        self._found = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """A text without the secrets."""
        return self._found.sub(lambda match: f"[secret {self._names[match.group()]}]", text)

    def body(self, body: bytes) -> bytes:
        """The same of bytes, of any encoding that agrees with ASCII or UTF-8."""
        return self.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def value(self, value: Any) -> Any:
        """A JSON value without the secrets, in keys as well."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list) else value

    def outcome(self, outcome: Output | Failure) -> Output | Failure:
        """What a call gave, without the secrets."""
        if isinstance(outcome, Output):
            return Output(self.value(outcome.value))
        return replace(outcome, message=self.text(outcome.message), details=self.value(dict(outcome.details)))


def _forms(value: str) -> Iterator[str]:
    yield value
    for ascii_only in (True, False):
        yield json.dumps(value, ensure_ascii=ascii_only)[1:-1]
    yield quote(value, safe="")
    yield quote_plus(value)
    yield URL("http://h/").update_query({"k": value}).raw_query_string[2:]
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(value.encode()).decode().rstrip("=")
