"""The examples in the docstrings of the engine are correct."""

import doctest
import importlib
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
MODULES = [
    ".".join(path.relative_to(TOP).with_suffix("").parts)
    for path in sorted((TOP / "pipeline_engine").rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed


def test_templates_and_retry_delays_have_examples() -> None:
    assert {"pipeline_engine.data.template", "pipeline_engine.interpreter.retry"} <= set(MODULES)
