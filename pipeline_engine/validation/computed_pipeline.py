"""A pipeline that a run has computed, or has got from somewhere: held against the language before it runs."""

from typing import Any

import orjson

from pipeline_engine.data.failure import VALIDATION_INPUT, Failure
from pipeline_engine.language.document import Document
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.parse import read_document
from pipeline_engine.validation.pipeline import Surroundings, check, tools_of

MAX_TOLD = 20
"""Problems that the failure lists."""


def computed_document(value: Any) -> Document | Failure:
    """The document, or every problem of it. Which tools there are is not known here: whoever stores it asks."""
    findings = Findings()
    document = read_document(value, Place(), findings)
    if document is not None:
        check(document, Surroundings({}, tools_of(document)), findings)
    if document is not None and not findings.violations:
        return document
    told = [{"field": one.field, "message": one.message} for one in findings.violations[:MAX_TOLD]]
    first = findings.violations[0]
    place = f"{first.field}: " if first.field else ""
    return Failure(
        VALIDATION_INPUT,
        f"the pipeline cannot run: {place}{first.message}",
        pointer="/pipeline",
        details={"problems": told, "count": len(findings.violations)},
    )


def normalised(document: Document) -> bytes:
    """As JSON, the same for the same document."""
    return orjson.dumps(document.to_json(), option=orjson.OPT_SORT_KEYS)
