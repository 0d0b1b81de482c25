"""Runs the examples in docstrings of pure functions."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "gateway.api.field_masks",
    "gateway.api.mask_paths",
    "gateway.api.filters",
    "gateway.api.ordering",
    "gateway.api.pagination",
    "gateway.api.resource_names",
    "gateway.api.violations",
    "gateway.approvals.edits",
    "gateway.authentication.client_address",
    "gateway.recording.changes",
    "gateway.recording.masking",
    "gateway.rest.openapi.paths",
    "gateway.rest.transcoding.merge_patch",
    "gateway.rest.transcoding.path_template",
    "gateway.runs.service",
    "gateway.runs.simulated_run",
    "gateway.tools.call",
)
OPTIONS = doctest.ELLIPSIS


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_correct(name: str) -> None:
    result = doctest.testmod(import_module(name), optionflags=OPTIONS)
    assert result.attempted > 0
    assert result.failed == 0
