"""The example of the page on simulations has the documented result."""

import re
from pathlib import Path
from typing import Any

import orjson
from ruamel.yaml import YAML

from gateway.runs.mocks import to_engine
from ordinaut.documents.reading import fill
from ordinaut.v1.mock_pb2 import Mock
from tests.unit.engine.simulated import simulated, steps_of
from tests.unit.engine.test_the_pages_examples_hold import TOOLS
from tests.unit.engine.world import NOW_US

PAGE = Path(__file__).parents[3] / "docs/how-to/simulate.md"
BLOCK = re.compile(r"```(?:yaml|json)\n(.*?)```\n", re.DOTALL)


def mock(written: dict[str, Any]) -> Mock:
    """Reads a mock as the command does."""
    found = Mock()
    assert not fill(written, found)
    return found


def test_the_example_runs_as_documented() -> None:
    document, mocks, shown = (YAML(typ="safe", pure=True).load(text) for text in BLOCK.findall(PAGE.read_text()))
    answer = simulated(document, *(to_engine(mock(one)) for one in mocks["mocks"]), tools=TOOLS)
    assert [list(step) for step in steps_of(answer)] == shown
    assert orjson.loads(answer.output) == {"sent": True}
    assert not answer.warnings
    assert 15 * 60 < (answer.end_us - NOW_US) / 1_000_000 < 16 * 60
