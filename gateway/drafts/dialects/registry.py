"""The formats of other systems: how they are recognised, and how they are translated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.drafts.dialects.airflow import is_airflow, translate_airflow
from gateway.drafts.dialects.argo import is_argo, translate_argo
from gateway.drafts.dialects.celery import is_celery, translate_celery
from gateway.drafts.dialects.github import is_github, translate_github
from gateway.drafts.dialects.kestra import is_kestra, translate_kestra
from gateway.drafts.dialects.n8n import is_n8n, translate_n8n
from gateway.drafts.dialects.prefect import is_prefect, translate_prefect
from gateway.drafts.dialects.states import is_states, translate_states
from gateway.drafts.dialects.temporal import is_temporal, translate_temporal
from gateway.drafts.dialects.texts import READERS
from gateway.drafts.dialects.zaps import is_zap, translate_zap
from gateway.drafts.draft import Draft


@dataclass(frozen=True, slots=True)
class Dialect:
    """A format of documents. `translate` returns a draft in our shape for each task of a document."""

    name: str
    recognises: Callable[[Any], bool]
    translate: Callable[[Any], list[Draft]]


# In the order in which they are tried: a format with clear marks first.
DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("n8n", is_n8n, translate_n8n),
        Dialect("states", is_states, translate_states),
        Dialect("celery", is_celery, translate_celery),
        Dialect("github", is_github, translate_github),
        Dialect("temporal", is_temporal, translate_temporal),
        Dialect("argo", is_argo, translate_argo),
        Dialect("airflow", is_airflow, translate_airflow),
        Dialect("kestra", is_kestra, translate_kestra),
        Dialect("prefect", is_prefect, translate_prefect),
        Dialect("zapier", is_zap, translate_zap),
    )
}
FORMATS = tuple(dict.fromkeys(("yaml", "json", *DIALECTS, *READERS)))


def documents_of(tree: Any, form: str) -> list[Draft]:
    """The drafts of one document; `form` is its format, or empty if it is to be recognised."""
    dialect = DIALECTS.get(form) or next(
        (each for each in DIALECTS.values() if not form and each.recognises(tree)), None
    )
    return dialect.translate(tree) if dialect else [Draft(tree)]
