"""The formats of other systems: how they are recognised, and how they are translated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.drafts.dialects.n8n import is_n8n, translate_n8n
from gateway.drafts.draft import Draft


@dataclass(frozen=True, slots=True)
class Dialect:
    """A format of documents. `translate` returns a draft in our shape for each task of a document."""

    name: str
    recognises: Callable[[Any], bool]
    translate: Callable[[Any], list[Draft]]


DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (Dialect("n8n", is_n8n, translate_n8n),)}
FORMATS = ("yaml", "json", *DIALECTS)


def documents_of(tree: Any, form: str) -> list[Draft]:
    """The drafts of one document; `form` is its format, or empty if it is to be recognised."""
    dialect = DIALECTS.get(form) or next(
        (each for each in DIALECTS.values() if not form and each.recognises(tree)), None
    )
    return dialect.translate(tree) if dialect else [Draft(tree)]
