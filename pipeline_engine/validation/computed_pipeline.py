"""Validates a pipeline that a run has computed or received, before it runs as a child run."""

from typing import Any

import orjson

from pipeline_engine.data.failure import VALIDATION_INPUT, Failure
from pipeline_engine.language.document import Document
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.parse import read_document
from pipeline_engine.validation.context import ValidationContext
from pipeline_engine.validation.pipeline import check, tools_of

MAX_LISTED_PROBLEMS = 20
"""Maximum number of problems in the failure's details."""


def computed_document(value: Any) -> Document | Failure:
    """Returns the document, or a failure with its problems.

    The project's tools are not known in the engine; the worker checks them when it stores the child run.
    """
    findings = Findings()
    document = read_document(value, Place(), findings)
    if document is not None:
        check(document, ValidationContext({}, tools_of(document)), findings)
    if document is not None and not findings.violations:
        return document
    problems = [
        {"field": violation.field, "message": violation.message}
        for violation in findings.violations[:MAX_LISTED_PROBLEMS]
    ]
    first = findings.violations[0]
    place = f"{first.field}: " if first.field else ""
    return Failure(
        VALIDATION_INPUT,
        f"the pipeline is invalid: {place}{first.message}",
        pointer="/pipeline",
        details={"problems": problems, "count": len(findings.violations)},
    )


def normalised(document: Document) -> bytes:
    """Returns the normalised document as canonical JSON."""
    return orjson.dumps(document.to_json(), option=orjson.OPT_SORT_KEYS)
