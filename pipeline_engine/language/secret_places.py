"""Secrets in a `with`: where they stand, and the text that stands for them in everything that is recorded."""

from dataclasses import dataclass
from typing import Any

from ordinaut.names import SECRET_REFERENCE
from pipeline_engine.data.template import Placeholder, split


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """A text of an input that holds secrets: the keys to it, and their names."""

    path: tuple[str | int, ...]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class SecretUse:
    """The secrets that go with the calls of a step: whose they are, where they stand, those it may not use.

    `places` are of the input; what the tool's `auth` names comes on top.
    """

    project: str
    places: tuple[SecretPlace, ...] = ()
    refused: frozenset[str] = frozenset()


def conceal(value: Any) -> tuple[Any, tuple[SecretPlace, ...]]:
    """A `with` whose secrets are literal text, `${secrets.NAME}`, and where that stands.

    So the rendered input shows which secret belongs there, and no expression ever sees one.

    Raises:
        ExpressionError: a template cannot be read.
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
    """The secret that a placeholder stands for, when it is one and nothing else."""
    found = SECRET_REFERENCE.fullmatch(f"${{{placeholder.expression}}}")
    return found[1] if found else None
