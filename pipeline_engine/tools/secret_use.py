"""Puts secrets into a call at the last moment: into its input, and into the headers that say who calls."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ordinaut.names import SECRET_REFERENCE
from pipeline_engine.data.payload import write
from pipeline_engine.interpreter.requests import Call
from pipeline_engine.language.secret_places import SecretPlace, SecretUse
from pipeline_engine.tools.definition import HttpAuth
from pipeline_engine.tools.mask import Mask
from pipeline_engine.tools.secret_files import SecretError

MAX_IN_ONE_TEXT = 100
"""References that are filled in one text; what a pipeline writes, not what its data may look like."""
Secrets = Callable[[str, str], str]
"""From project and name to a value; raises SecretError."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A call with its secrets in place, and what takes them out of its answer again."""

    call: Call
    headers: Mapping[str, str]
    mask: Mask


def open_call(call: Call, use: SecretUse, auth: HttpAuth | None, secrets: Secrets) -> Opened:
    """The call as it is sent.

    Raises:
        SecretError: a secret does not exist, may not be used, or cannot stand where it should.
        PayloadError: the input has become too large.
    """
    known: dict[str, str] = {}

    def value_of(name: str) -> str:
        if name not in known:
            known[name] = secrets(use.project, name)
        return known[name]

    for name in sorted(use.refused):
        raise SecretError(name, "is not the task owner's to use")
    filled = call.input
    for place in use.places:
        filled = _filled(filled, place.path, _filler(place, value_of))
    if use.places:
        call = replace(call, input=filled, body=write(filled))
    if auth is None:
        return Opened(call, {}, Mask(known))
    header, told = _header(auth, value_of(auth.secret))
    return Opened(call, {auth.header: header}, Mask(known, {told: auth.secret}))


def _header(auth: HttpAuth, value: str) -> tuple[str, str]:
    """A header's value, and what of it must not be told."""
    if auth.scheme == "basic":
        told = b64encode(f"{auth.user}:{value}".encode()).decode()
        return f"Basic {told}", told
    if not (value.isascii() and value.isprintable()):
        raise SecretError(auth.secret, "is not printable ASCII, and cannot stand in a header")
    return f"Bearer {value}" if auth.scheme == "bearer" else value, value


def _filler(place: SecretPlace, value_of: Callable[[str], str]) -> Callable[[str], str]:
    values = {name: value_of(name) for name in place.names}

    def put(match: re.Match[str]) -> str:
        return values.get(match[1], match.group())

    return lambda text: SECRET_REFERENCE.sub(put, text, count=MAX_IN_ONE_TEXT)


def _filled(value: Any, path: Sequence[str | int], fill: Callable[[str], str]) -> Any:
    """A copy with one text filled; what somebody has edited away meanwhile stays away."""
    if not path:
        return fill(value) if isinstance(value, str) else value
    key = path[0]
    if isinstance(value, dict) and key in value:
        return {**value, key: _filled(value[key], path[1:], fill)}
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return [*value[:key], _filled(value[key], path[1:], fill), *value[key + 1 :]]
    return value
