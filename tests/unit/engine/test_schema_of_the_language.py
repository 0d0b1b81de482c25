"""The published JSON Schema and the parser agree on every document of the corpus."""

from importlib import resources
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordinaut.limits import MAX_RETRIES
from pipeline_engine.data.schemas import schema_problems
from pipeline_engine.language import document as limits
from pipeline_engine.language.findings import Findings
from pipeline_engine.language.keys import ACCEPTED_DOCUMENT_KEYS, ACCEPTED_STEP_KEYS
from pipeline_engine.language.loops import PERCENT
from pipeline_engine.language.parse import parse
from pipeline_engine.language.values import MAX_FACTOR, MAX_TIMEOUT_SECONDS, RETRY_KEYS
from tests.sample import FULL
from tests.unit.engine.corpus import BROKEN, OUT_OF_RANGE, VALID
from tests.unit.engine.test_broken_documents_are_repaired import repaired

SCHEMA: dict[str, Any] = orjson.loads(resources.files("ordinaut").joinpath("pipeline.schema.json").read_bytes())
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
DEFINITIONS = SCHEMA["$defs"]


def has_a_shape(document: Any) -> bool:
    """Whether the parser, without tools and names, accepts a document."""
    findings = Findings()
    parse(orjson.dumps(document), findings)
    return not findings.violations


@pytest.mark.parametrize("name", [*BROKEN, *VALID, *OUT_OF_RANGE])
def test_schema_and_parser_agree(name: str) -> None:
    """Each accepts exactly the documents that the other accepts."""
    document = {**BROKEN, **VALID, **OUT_OF_RANGE}[name]
    assert VALIDATOR.is_valid(document) is has_a_shape(document)


def test_repaired_documents_match_the_schema() -> None:
    """Editors show no errors after the fixes."""
    for name, document in BROKEN.items():
        found, valid = repaired(document)
        assert VALIDATOR.is_valid(found) or not valid, name


def test_the_schema_is_valid_and_complete() -> None:
    """A tool could be registered with it; it has all keys and limits of the parser."""
    assert not schema_problems(SCHEMA)
    step, pipeline = DEFINITIONS["step"]["properties"], DEFINITIONS["pipeline"]["properties"]
    assert set(step) == set(ACCEPTED_STEP_KEYS)
    assert set(pipeline) == set(ACCEPTED_DOCUMENT_KEYS)
    rule = DEFINITIONS["retry"]["anyOf"][1]["properties"]
    assert set(rule) == set(RETRY_KEYS)
    assert step["max_retries"]["maximum"] == DEFINITIONS["retry"]["anyOf"][0]["maximum"] == MAX_RETRIES
    assert step["timeout_seconds"]["maximum"] == MAX_TIMEOUT_SECONDS
    assert rule["factor"]["maximum"] == MAX_FACTOR
    assert DEFINITIONS["steps"]["maxItems"] == limits.MAX_STEPS
    assert step["foreach"]["anyOf"][1]["maxItems"] == limits.MAX_ITEMS
    assert step["tolerate"]["anyOf"][0]["maximum"] == limits.MAX_ITEMS
    assert step["tolerate"]["anyOf"][1]["pattern"] == f"^{PERCENT.pattern.replace('(?:', '(')}$"
    assert step["max_rounds"]["maximum"] == limits.MAX_ROUNDS
    assert step["branches"]["maxProperties"] == limits.MAX_BRANCHES
    assert (step["max_parallel"]["maximum"], step["max_parallel"]["default"]) == (
        limits.MAX_PARALLEL,
        limits.DEFAULT_PARALLEL,
    )


def test_every_key_of_a_step_has_a_description() -> None:
    """Models read the schema."""
    for name, part in DEFINITIONS["step"]["properties"].items():
        named = DEFINITIONS[part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
        assert part.get("description") or named.get("description") or name == "retry", name


SMALL = st.sampled_from([None, True, 0, 1, -1, 5, "", "a", "5m", "${x}", "continue", [], {}, [1], {"a": 1}])
STEP = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", "B"])},
    optional={key: SMALL for key in ACCEPTED_STEP_KEYS if key not in {"id", "timeout", "max_delay"}},
)


@settings(max_examples=400 if FULL else 60)
@given(steps=st.lists(STEP, max_size=2))
def test_schema_and_parser_agree_on_random_documents(steps: list[Any]) -> None:
    """Small values at every key of a step."""
    document = {"steps": steps}
    assert VALIDATOR.is_valid(document) is has_a_shape(document), document
