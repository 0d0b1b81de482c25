"""Removes secrets from a tool's response, so that an echoed secret is not recorded."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pipeline_engine.data.failure import Failure
from pipeline_engine.data.text_forms import text_forms
from pipeline_engine.interpreter.requests import Output


class Mask:
    """Replaces secret values by `[secret NAME]`; `derived` maps further texts to the names of their secrets.

    A value is recognised verbatim and as JSON, URL encoding, and Base64 write it: these are the forms in which error
    pages and debug responses usually echo a request. The response is masked as bytes before it is parsed, and the
    parsed value again, because an escape sequence may hide a secret from the first pass. This protects against
    accidents, not against a malicious tool, which can return a secret in pieces or encrypted: a tool that receives a
    secret knows it. Longer forms are matched first, so that a secret that contains another one is replaced as a whole.
    """

    def __init__(self, secrets: Mapping[str, str], derived: Mapping[str, str] = MappingProxyType({})) -> None:
        forms = {form: name for name, value in secrets.items() for form in text_forms(value)} | dict(derived)
        longest_first = sorted(forms, key=len, reverse=True)
        self._names = forms
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """Returns a text without the secrets."""
        return self._pattern.sub(lambda match: f"[secret {self._names[match.group()]}]", text)

    def body(self, body: bytes) -> bytes:
        """Returns a response body without the secrets; the encoding must be compatible with ASCII or UTF-8."""
        return self.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def value(self, value: Any) -> Any:
        """Returns a JSON value without the secrets, in keys as well."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list) else value

    def outcome(self, outcome: Output | Failure) -> Output | Failure:
        """Returns the outcome of a call without the secrets."""
        if isinstance(outcome, Output):
            return replace(outcome, value=self.value(outcome.value), details=self.value(dict(outcome.details)))
        return replace(outcome, message=self.text(outcome.message), details=self.value(dict(outcome.details)))
