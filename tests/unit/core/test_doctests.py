"""The examples in docstrings are correct."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "ordinaut.cli.parameters",
    "ordinaut.documents.durations",
    "ordinaut.documents.json_text",
    "ordinaut.documents.misspelled",
    "ordinaut.documents.numbers",
    "ordinaut.documents.patch",
    "ordinaut.documents.pointers",
    "ordinaut.documents.writing",
    "ordinaut.expressions.compare",
    "ordinaut.expressions.event_condition",
    "ordinaut.expressions.expression",
    "ordinaut.expressions.paths",
    "ordinaut.expressions.placeholders",
    "ordinaut.expressions.rename",
    "ordinaut.expressions.rewrite",
    "ordinaut.expressions.times",
    "ordinaut.names",
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    failed, attempted = doctest.testmod(import_module(name))
    assert attempted > 0
    assert failed == 0
