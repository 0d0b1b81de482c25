"""URLs of HTTP tools with placeholders, such as `https://api.example.com/users/{user}`, filled from the input."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pipeline_engine.data.describe import kind_of

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,62})\}")
MAX_URL_BYTES = 16 * 1024
"""Limit of a URL with its placeholders filled and its query."""
_RELATIVE = frozenset({"", ".", ".."})


class UrlInputError(ValueError):
    """A value of the input does not fit its place in the URL; `name` is that of the placeholder."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def placeholders(url: str) -> list[str]:
    """Returns the names of the placeholders of a URL, without repetitions."""
    return list(dict.fromkeys(PLACEHOLDER.findall(url)))


def template_problem(url: str) -> str | None:
    """Returns why the placeholders of a URL are invalid, or None.

    The host cannot depend on the input: the tool's definition decides who receives the call, and its secrets.
    """
    if not {"{", "}"} & set(PLACEHOLDER.sub("", url)):
        authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
        return "placeholders are allowed in the path and in the query of a URL" if "{" in authority else None
    return "a brace in a URL must belong to a placeholder `{name}`, the name of a value in the input"


def fill_url(url: str, value: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the URL with its placeholders filled, and the rest of the input.

    >>> fill_url("http://h/users/{user}?full={full}", {"user": "a/b", "full": True, "n": 1})
    ('http://h/users/a%2Fb?full=true', {'n': 1})

    Raises:
        UrlInputError: a value is missing, not a scalar, or would change the structure of the path.
    """
    names = placeholders(url)
    path_names = set(PLACEHOLDER.findall(url.partition("?")[0]))
    texts = {name: _text(name, value.get(name), in_path=name in path_names) for name in names}
    filled = PLACEHOLDER.sub(lambda match: quote(texts[match[1]], safe=""), url)
    return filled, _without(value, names)


def _text(name: str, value: Any, *, in_path: bool) -> str:
    if not isinstance(value, str | int | float):
        raise UrlInputError(
            name, f"`{name}` is part of the URL: must be a string, number or boolean, not {kind_of(value)}"
        )
    text = value if isinstance(value, str) else json.dumps(value)
    if in_path and text in _RELATIVE:
        raise UrlInputError(name, f"`{name}` is part of the path of the URL: must not be {text!r}")
    return text


def _without(value: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    used = set(names)
    return {key: item for key, item in value.items() if key not in used}
