"""ValidatePipeline: normalisation, problems and warnings; it never raises."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.validation.validate import validate_pipeline, validate_tool, validate_value
from tests.unit.engine.pipelines import checked, pipeline, step


def reasons(document: Any, **surroundings: Any) -> dict[str, str]:
    """Returns reasons by field."""
    answer = checked(document, **surroundings)
    return {violation.field: ErrorReason.Name(violation.reason) for violation in answer.violations}


def test_the_documented_example_is_accepted_and_normalised() -> None:
    """Both wrappers, `timeout_seconds` and `max_retries` come out as one form."""
    steps = [
        step("agenda", "calendar.list_events", input={"start": "${now+24h}"}, timeout_seconds=10, max_retries=3),
        step(
            "none", "orchestrator.stop", condition="length(steps.agenda.events) == 0", input={"output": {"sent": False}}
        ),
        step(
            "warm", condition="${steps.agenda.temp > 25}", input={"n": "${length(steps.agenda.events)}"}, save_as="hot"
        ),
        step("say", input={"text": "Hello $${x} ${params.name}: ${steps.hot.n}"}),
    ]
    answer = checked({"payload": {"params": {"name": "Ada"}, "pipeline": steps}})
    assert not answer.violations
    document = orjson.loads(answer.pipeline)
    assert document["version"] == 1
    assert document["steps"][0]["timeout"] == "10s"
    assert document["steps"][0]["retry"]["max"] == 3
    assert list(answer.tools) == ["calendar.list_events", "orchestrator.set", "orchestrator.stop"]
    assert checked(steps).pipeline == answer.pipeline
    assert checked(answer.pipeline, params={"name": "Ada"}).pipeline == answer.pipeline, "normalising is idempotent"


def test_problems_of_a_wrapped_document_refer_to_the_submitted_document() -> None:
    """Fields and pointers start at the outermost object."""
    answer = checked({"payload": {"pipeline": [step("a"), step("a")]}})
    assert [violation.field for violation in answer.violations] == ["payload.pipeline[1].id"]
    assert answer.violations[0].fix.operations[0]["path"] == "/payload/pipeline/1/id"


@pytest.mark.parametrize(
    ("document", "field", "reason"),
    [
        (pipeline(step("a", input={"x": "${steps.b}"}), step("b")), "steps[0].with.x", "UNRESOLVED_REFERENCE"),
        (pipeline(step("a", input={"x": "${steps.a}"})), "steps[0].with.x", "UNRESOLVED_REFERENCE"),
        (pipeline(step("a", input={"x": "${item.y}"})), "steps[0].with.x", "UNRESOLVED_REFERENCE"),
        (pipeline(step("a", input={"x": "${error.code}"})), "steps[0].with.x", "UNRESOLVED_REFERENCE"),
        (pipeline(step("a", input={"x": "${a${b}}"})), "steps[0].with.x", "TEMPLATE_SYNTAX"),
        (pipeline(step("a", input={"x": "${__import__('os')}"})), "steps[0].with.x", "TEMPLATE_SYNTAX"),
        (pipeline(step("a", input={"x": "${steps.y"})), "steps[0].with.x", "TEMPLATE_SYNTAX"),
        (pipeline(step("a", condition="x" * 5000)), "steps[0].if", "TOO_LARGE"),
        (pipeline(step("a", condition="(" * 300 + "a" + ")" * 300)), "steps[0].if", "TOO_LARGE"),
        (pipeline(step("a", condition="!" * 300 + "a")), "steps[0].if", "TOO_LARGE"),
        (pipeline(step("a", "zzz.qqq")), "steps[0].uses", "UNKNOWN_TOOL"),
        (pipeline(step("a", "orchestrator.emit", input={})), "steps[0].with", "TOOL_INPUT_INVALID"),
        (pipeline(step("a", needs_approval=True)), "steps[0].needs_approval", "INVALID_PIPELINE"),
        (
            pipeline(step("a", "x.y", needs_approval={"assignees": ["A B"]})),
            "steps[0].needs_approval.assignees",
            "INVALID_PIPELINE",
        ),
        (
            pipeline(step("a", "x.y", needs_approval={"message": "${steps.b}"})),
            "steps[0].needs_approval.message",
            "UNRESOLVED_REFERENCE",
        ),
        (pipeline(step("a", do=[step("b")])), "steps[0].do", "INVALID_PIPELINE"),
        (pipeline({"id": "a", "do": []}), "steps[0].do", "FIELD_REQUIRED"),
        (pipeline(step("a", timeout="0s")), "steps[0].timeout", "INVALID_PIPELINE"),
        (pipeline(step("a", timeout="soon")), "steps[0].timeout", "INVALID_PIPELINE"),
        (pipeline(step("a"), on_error="continue"), "on_error", "INVALID_PIPELINE"),
        (pipeline(*[step(f"s{number}") for number in range(1001)]), "steps", "TOO_MANY_STEPS"),
        (pipeline(), "steps", "FIELD_REQUIRED"),
        (b"{", "", "INVALID_PIPELINE"),
        (b"\xff\xfe", "", "INVALID_PIPELINE"),
        (b"[" * 100_000, "", "INVALID_PIPELINE"),
        (b"[" * 100 + b"]" * 100, "", "JSON_TOO_DEEP"),
        (b"null", "", "INVALID_PIPELINE"),
        (b" " * (1024 * 1024 + 1), "", "TOO_LARGE"),
    ],
)
def test_a_problem_has_its_field_and_reason(document: Any, field: str, reason: str) -> None:
    """Exactly one problem."""
    assert reasons(document).get(field) == reason


def test_invalid_names_are_not_suggested() -> None:
    """A misspelt id does not appear in a message."""
    loop = {"id": "B", "foreach": [1], "do": [step("x")]}
    answer = checked(pipeline(step("A"), loop, step("c", input={"v": "${steps.x}", "w": "${steps.y}"})))
    told = [violation.message for violation in answer.violations if violation.field.startswith("steps[2]")]
    assert len(told) == 2
    assert not any("?steps" in message for message in told)


def test_templates_match_every_schema_and_literals_are_checked() -> None:
    """A placeholder is a wildcard; literal siblings are validated."""
    fits = {"start": "${now}", "limit": "${params.n}", "labels": ["${params.a}"], "order": "${params.o}"}
    assert not reasons(pipeline(step("a", "calendar.list_events", input=fits)))
    assert not reasons(pipeline(step("a", "calendar.list_events", input="${params.whole}")))
    wrong = {"start": "${now}", "limit": 0}
    assert reasons(pipeline(step("a", "calendar.list_events", input=wrong))) == {
        "steps[0].with.limit": "TOOL_INPUT_INVALID"
    }


def test_params_are_validated_against_their_schema() -> None:
    """The schema is validated, the params must match it, and references must be possible."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
    document = pipeline(step("a", input={"x": "${params.town}"}))
    assert reasons(document, params={"city": 1}, params_schema=schema) == {
        "params.city": "FIELD_INVALID",
        "steps[0].with.x": "UNRESOLVED_REFERENCE",
    }
    assert reasons(document, params_schema={"type": "strin"}) == {"params_schema.type": "INVALID_SCHEMA"}
    assert reasons(document, params_schema={"$ref": "http://127.0.0.1:1/x"}) == {"params_schema.$ref": "INVALID_SCHEMA"}


def test_probable_mistakes_are_warnings() -> None:
    """Steps after an unconditional end never run."""
    answer = checked(pipeline(step("a", "orchestrator.stop"), step("b")))
    assert not answer.violations
    assert [warning.partition(":")[0] for warning in answer.warnings] == ["steps[1]"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("It is {{ steps.a.x }}", "It is ${steps.a.x}"),
        ("${{ steps.a.x | upper }}", "${upper(steps.a.x)}"),
        ("={{ $node['a'].json.x }}", "${steps.a.x}"),
        ("{steps.a.x} and $.steps.a.y", "${steps.a.x} and ${steps.a.y}"),
        ("<%= steps.a.x %>", "${steps.a.x}"),
        ("{{ ''.__class__ }} ${steps.a.x}", None),
        ("{{ customer }}", None),
        ("{% if steps.a.x %}", None),
    ],
)
def test_templates_of_other_languages_are_refused(text: str, meant: str | None) -> None:
    """Such a text would be sent as it is; where the meaning is known, there is a repair."""
    [violation] = checked(pipeline(step("a"), step("b", input={"x": text}))).violations
    assert (violation.field, ErrorReason.Name(violation.reason)) == ("steps[1].with.x", "TEMPLATE_SYNTAX")
    values = [operation["value"] for operation in violation.fix.operations]
    assert values == ([] if meant is None else [meant])
    assert len(violation.message.encode()) <= 2048


@pytest.mark.parametrize(
    "text", ["{city} {x}", "a {b} c", "$5.00", "{${'{'} x }}", '{"a": {"b": 1}}', "100 %", "{now}"]
)
def test_braces_that_are_no_template_are_text(text: str) -> None:
    assert not checked(pipeline(step("a"), step("b", input={"x": text}))).violations


def test_handlers_can_refer_to_the_failed_step_and_the_error() -> None:
    """`error` is a root name only inside `on_error`."""
    handler = step("h", input={"code": "${error.code}", "failed": "${steps.a.error.message}"})
    assert not reasons(pipeline(step("a", on_error=[handler]), on_error=[step("z", input={"e": "${error}"})]))
    outside = pipeline(step("a", on_error=[handler]), step("b", input={"x": "${steps.h}"}))
    assert reasons(outside) == {"steps[1].with.x": "UNRESOLVED_REFERENCE"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["id", "uses", "with", "if", "retry", "timeout", "on_error", "save_as", "name", "foreach"]
TEXTS = ["a", "orchestrator.set", "${", "${steps.a}", "${'x'}", "!a.b", '"x"', "now+24h", "continue", "a-b", "$${x}"]
STEPS = st.lists(st.dictionaries(st.sampled_from(KEYS), JSON | st.sampled_from(TEXTS), max_size=6) | JSON, max_size=4)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, rest=st.dictionaries(st.sampled_from(["version", "output", "on_error", "timeout"]), JSON | STEPS))
def test_validation_never_raises_for_a_document(steps: list[Any], rest: dict[str, Any]) -> None:
    """Every answer is data."""
    assert isinstance(checked({"steps": steps, **rest}), pb.ValidatePipelineResponse)


@settings(max_examples=100, deadline=None)
@given(text=st.binary(max_size=60), value=JSON)
def test_validation_never_raises_for_random_bytes(text: bytes, value: Any) -> None:
    """In any field of the request."""
    json_text = orjson.dumps(value)
    for pipeline_text, schema in ((text, json_text), (json_text, text), (json_text, json_text)):
        request = pb.ValidatePipelineRequest(
            pipeline=pipeline_text, tools=[schema], params_schema=schema, params=pipeline_text
        )
        validate_pipeline(request)
        validate_tool(pb.ValidateToolRequest(tool=schema))
        validate_value(pb.ValidateValueRequest(schema=schema, value=pipeline_text))


def test_all_problems_of_a_value_have_a_path() -> None:
    schema = {"type": "object", "properties": {"a": {"items": {"type": "integer"}}}, "required": ["b"]}
    answer = validate_value(pb.ValidateValueRequest(schema=orjson.dumps(schema), value=orjson.dumps({"a": [1, "x"]})))
    assert sorted(violation.field for violation in answer.violations) == ["", "a[1]"]


@pytest.mark.parametrize("name", ["\\ud800", "\\u0000", "\\udfff x"])
def test_names_with_unstorable_characters_are_rejected(name: str) -> None:
    """JMESPath escapes can produce strings that neither protobuf nor PostgreSQL accepts."""
    document = pipeline(step("a", input={"x": f'${{steps."{name}".y}}'}))
    assert reasons(document) == {"steps[0].with.x": "UNRESOLVED_REFERENCE"}
