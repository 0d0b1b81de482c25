"""Every example of the language's pages is valid, runs, and has the result that follows it."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from ruamel.yaml import YAML

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Output
from pipeline_engine.tools.definition import BUILT_IN_KINDS
from pipeline_engine.validation.validate import validate_pipeline
from tests.unit.engine.pipelines import BUILT_IN
from tests.unit.engine.test_schema_of_the_language import VALIDATOR
from tests.unit.engine.world import World

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = re.compile(r"```yaml\n(.*?)```\n(?:```json( error)?\n(.*?)```\n)?", re.DOTALL)
PARAMS = {"city": "Berlin", "limit": 10, "days": [{"name": "Mon", "temp": 3}, {"name": "Tue", "temp": 12}]}
EVENTS = [{"title": "Standup", "city": "Berlin"}, {"title": "Review", "city": "Paris"}]
NAMES = ("calendar.list_events", "weather.forecast", "mail.send", "stock.quote")
TOOLS = [
    *(orjson.dumps(tool) for tool in BUILT_IN),
    *(orjson.dumps({"name": name, "http": {"url": "http://127.0.0.1:1/"}}) for name in NAMES),
]


def examples() -> list[Any]:
    """Returns the examples of both pages, each with its page and line."""
    found = []
    for page in ("pipeline.md", "cookbook.md"):
        text = (DOCS / page).read_text()
        for match in EXAMPLE.finditer(text):
            line = text[: match.start()].count("\n") + 2
            found.append(pytest.param(match[1], bool(match[2]), match[3], id=f"{page}:{line}"))
    return found


def answer(call: Call) -> Output | Failure:
    """Responds as the tools of the pages do."""
    if call.tool.name == "stock.quote":
        return Failure("TOOL_UNAVAILABLE", "the exchange is closed", retryable=True)
    answers: dict[str, Any] = {
        "calendar.list_events": {"events": EVENTS},
        "weather.forecast": {"city": call.input.get("city"), "temp": 21},
        "mail.send": {"id": "m1"},
    }
    return Output(answers[call.tool.name])


def perform(entry: pb.JournalEntry) -> Any:
    """Returns the results of effects on an empty store."""
    given = orjson.loads(entry.input)
    results = {
        "orchestrator.emit": {"event": "events/1"},
        "orchestrator.get_state": {"value": given.get("default"), "revision": 0},
        "orchestrator.put_state": {"revision": 1},
        "orchestrator.run_task": {"run": "runs/child"},
    }
    return results[entry.tool]


@pytest.mark.parametrize(("text", "fails", "result"), examples())
def test_an_example_has_the_documented_result(text: str, fails: bool, result: str | None) -> None:
    """It is validated by the engine and the schema, then run."""
    document = YAML(typ="safe", pure=True).load(text)
    request = pb.ValidatePipelineRequest(pipeline=orjson.dumps(document), tools=TOOLS, params=orjson.dumps(PARAMS))
    checked = validate_pipeline(request)
    assert not checked.violations
    assert not checked.warnings
    assert VALIDATOR.is_valid(document)
    ending = World(document, answer=answer, perform=perform, params=PARAMS, tools=TOOLS).run()
    assert ending.state == ("FAILED" if fails else "SUCCEEDED"), ending.error
    assert result is not None, "every example says what it gives"
    assert orjson.loads(ending.error if fails else ending.output) == orjson.loads(result)


def test_the_page_lists_every_built_in_tool_and_error_code() -> None:
    page = (DOCS / "pipeline.md").read_text()
    assert [name for name in BUILT_IN_KINDS if f"`{name}" not in page] == []
    source = (Path(__file__).parents[3] / "pipeline_engine/data/failure.py").read_text()
    codes = re.findall(r'^([A-Z_]+) = "\1"$', source, re.MULTILINE)
    assert len(codes) >= 9
    assert [code for code in codes if code not in page] == []
