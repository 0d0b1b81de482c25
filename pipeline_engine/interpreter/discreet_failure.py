"""Failures of tools with sensitive values: without what could quote such a value."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ordinaut.json_places import overlaps, place_of
from ordinaut.sensitive import MASK
from pipeline_engine.data.failure import VALIDATION_INPUT, VALIDATION_OUTPUT, Failure
from pipeline_engine.tools.definition import Sensitive

EXCERPT = "body"
"""The key of an excerpt of a response in `details`: a cut value in it could not be recognised."""


def discreet(failure: Failure, sensitive: Sensitive) -> Failure:
    """Returns the failure without excerpts of responses, and without a message about a sensitive value."""
    if EXCERPT in failure.details or "lookup" in failure.details:
        failure = replace(failure, details=_without_excerpts(failure.details))
    sides = {VALIDATION_INPUT: sensitive.input, VALIDATION_OUTPUT: sensitive.output}
    place = place_of(failure.pointer)
    if any(overlaps(place, other) for other in sides.get(failure.code, ())):
        return replace(failure, message="the value does not match the schema; it is sensitive and not shown")
    return failure


def _without_excerpts(details: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: MASK if key == EXCERPT else _without_excerpts(item) if isinstance(item, dict) else item
        for key, item in details.items()
    }
