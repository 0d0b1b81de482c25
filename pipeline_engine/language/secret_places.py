"""Secret references in a `with`: their positions, and the placeholder text that replaces them in all records.

Secret values never enter the interpreter. The rendered input keeps the literal text `${secrets.NAME}`, and that text is
what the journal, approvals and traces show. The values are inserted by the transport after the last point at which
anything is recorded, at the recorded positions only: a tool's output or a param that happens to contain
`${secrets.NAME}` is data and stays as it is.
"""

from dataclasses import dataclass
from typing import Any

from ordinaut.names import SECRET_REFERENCE
from pipeline_engine.data.template import Placeholder, split


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """A string of an input that refers to secrets: the keys that lead to it, and the names of the secrets."""

    path: tuple[str | int, ...]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class SecretUse:
    """The secrets of a step's calls: their project, their places, and those that the task's owner may not use.

    `places` refer to the input; the secret of the tool's `auth` is used in addition, unless it is `revoked`: the tool's
    owner may no longer use it.
    """

    project: str
    places: tuple[SecretPlace, ...] = ()
    refused: frozenset[str] = frozenset()
    revoked: bool = False


def conceal(value: Any) -> tuple[Any, tuple[SecretPlace, ...]]:
    """Returns the `with` with each secret reference turned into literal text, and the places of these references.

    >>> conceal({"token": "${secrets.mail}", "to": "${params.to}"})
    ({'token': '$${secrets.mail}', 'to': '${params.to}'}, (SecretPlace(path=('token',), names=frozenset({'mail'})),))

    Raises:
        ExpressionError: a template cannot be parsed.
    """
    places: list[SecretPlace] = []
    return _concealed(value, (), places), tuple(places)


def _concealed(value: Any, path: tuple[str | int, ...], places: list[SecretPlace]) -> Any:
    if isinstance(value, str):
        text, names = _text(value)
        if names:
            places.append(SecretPlace(path, frozenset(names)))
        return text
    if isinstance(value, dict):
        return {key: _concealed(item, (*path, key), places) for key, item in value.items()}
    if isinstance(value, list):
        return [_concealed(item, (*path, index), places) for index, item in enumerate(value)]
    return value


def _text(text: str) -> tuple[str, list[str]]:
    if "secrets" not in text:
        return text, []
    names: list[str] = []
    pieces: list[str] = []
    place = 0
    for part in split(text):
        name = secret_of(part) if isinstance(part, Placeholder) else None
        if name is None or not isinstance(part, Placeholder):
            continue
        names.append(name)
        pieces += [text[place : part.start - 2], f"$${{secrets.{name}}}"]
        place = part.end + 1
    return "".join([*pieces, text[place:]]), names


def secret_of(placeholder: Placeholder) -> str | None:
    """Returns the secret's name if the placeholder is exactly `${secrets.NAME}`, else None."""
    reference = SECRET_REFERENCE.fullmatch(f"${{{placeholder.expression}}}")
    return reference[1] if reference else None
