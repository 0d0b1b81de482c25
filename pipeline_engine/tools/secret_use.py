"""Inserts secret values into a call directly before it is sent: into its input and its authentication header."""

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
from pipeline_engine.tools.secret_bindings import AUTH, WITH
from pipeline_engine.tools.secret_files import SecretError

MAX_IN_ONE_TEXT = 100
"""Maximum number of references that are filled in one string."""
Secrets = Callable[[str, str], str]
"""Returns the value for a project and a secret's name; raises SecretError."""
Permit = Callable[[str, str, str], None]
"""Raises SecretError if the secret of a project, by name, may not go to the place AUTH or WITH of this call."""


def permit_all(_project: str, _name: str, _place: str) -> None:
    """Permits every secret; for tests of other rules."""


@dataclass(frozen=True, slots=True)
class OpenedCall:
    """A call with its secret values, its authentication headers, and the mask for its response."""

    call: Call
    headers: Mapping[str, str]
    mask: Mask


def fill_secrets(
    call: Call, use: SecretUse, auth: HttpAuth | None, secrets: Secrets, permit: Permit = permit_all
) -> OpenedCall:
    """Returns the call as it is sent; `permit` is asked for each secret before its value is read.

    Raises:
        SecretError: a secret does not exist, may not be used, or does not fit its place.
        PayloadError: the input exceeds its limit with the secrets inserted.
    """
    values: dict[str, str] = {}

    def value_of(name: str, place: str) -> str:
        permit(use.project, name, place)
        if name not in values:
            values[name] = secrets(use.project, name)
        return values[name]

    for name in sorted(use.refused):
        raise SecretError(name, "may not be used by the task's owner")
    filled = call.input
    for place in use.places:
        filled = _filled(filled, place.path, _filler(place, lambda name: value_of(name, WITH)))
    if use.places:
        call = replace(call, input=filled, body=write(filled))
    if auth is None:
        return OpenedCall(call, {}, Mask(values))
    if use.revoked:
        raise SecretError(auth.secret, "may no longer be used by the owner of the tool", "SECRET_REVOKED")
    header, credential = _header(auth, value_of(auth.secret, AUTH))
    return OpenedCall(call, {auth.header: header}, Mask(values, {credential: auth.secret}))


def _header(auth: HttpAuth, value: str) -> tuple[str, str]:
    """Returns a header's value, and the part of it that must be masked."""
    if auth.scheme == "basic":
        credential = b64encode(f"{auth.user}:{value}".encode()).decode()
        return f"Basic {credential}", credential
    if not (value.isascii() and value.isprintable()):
        raise SecretError(auth.secret, "must be printable ASCII to be sent in a header")
    return f"Bearer {value}" if auth.scheme == "bearer" else value, value


def _filler(place: SecretPlace, value_of: Callable[[str], str]) -> Callable[[str], str]:
    values = {name: value_of(name) for name in place.names}

    def put(match: re.Match[str]) -> str:
        return values.get(match[1], match.group())

    return lambda text: SECRET_REFERENCE.sub(put, text, count=MAX_IN_ONE_TEXT)


def _filled(value: Any, path: Sequence[str | int], fill: Callable[[str], str]) -> Any:
    """Returns a copy with one string filled; a place that an approver's edit has removed is skipped."""
    if not path:
        return fill(value) if isinstance(value, str) else value
    key = path[0]
    if isinstance(value, dict) and key in value:
        return {**value, key: _filled(value[key], path[1:], fill)}
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return [*value[:key], _filled(value[key], path[1:], fill), *value[key + 1 :]]
    return value
