"""No value reaches a servicer that JSON, PostgreSQL or a clock cannot keep."""

import math

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from gateway.api.json_values import fill_struct
from gateway.api.message_checks import require_valid_values
from ordinaut.errors import InvalidArgumentError
from ordinaut.limits import MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.state_service_pb2 import PutStateEntryRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from ordinaut.v1.tool_service_pb2 import CreateToolRequest


def found(request: Message) -> list[tuple[str, str]]:
    """Paths and reasons."""
    try:
        require_valid_values(request)
    except InvalidArgumentError as error:
        return [(violation.field, ErrorReason.Name(violation.reason)) for violation in error.violations]
    return []


def test_a_valid_request_passes() -> None:
    """Texts, numbers, times and durations of every kind."""
    task = ParseDict(
        {
            "labels": {"a": "b"},
            "params": {"x": [1, None, {"y": "z"}, 1.5, 2**53 - 1]},
            "schedule": {"triggers": [{"interval": "90s"}], "start_time": "0001-01-01T00:00:00Z"},
            "run_policy": {"overlap": {"policy": "SKIP"}, "retry": {"factor": 1.5}},
        },
        Task(),
    )
    assert found(CreateTaskRequest(task=task)) == []


def test_every_invalid_value_is_reported_with_its_path() -> None:
    """All of them in one answer, with paths that can be followed."""
    request = CreateTaskRequest(task_id="a\0")
    task = request.task
    task.labels["a b"] = "\0"
    task.run_policy.retry.factor = math.nan
    task.run_policy.retry.codes.extend(["ok", "\0"])
    task.run_policy.overlap.policy = 99  # type: ignore[assignment]  # on the wire it may be any number
    task.run_policy.run_timeout.seconds = 10**12
    task.schedule.start_time.seconds = 10**12
    task.schedule.triggers.add().interval.nanos = 10**9
    fill_struct(task.params, {"a": [{"b c": math.inf, "": 2.0**53}], "\0": 1, "t": "\0"})
    task.params.fields["unset"].Clear()
    assert sorted(found(request)) == sorted(
        [
            ("task_id", "NUL_CHARACTER"),
            ("task.labels['a b']", "NUL_CHARACTER"),
            ("task.run_policy.retry.factor", "NON_FINITE_NUMBER"),
            ("task.run_policy.retry.codes[1]", "NUL_CHARACTER"),
            ("task.run_policy.overlap.policy", "FIELD_INVALID"),
            ("task.run_policy.run_timeout", "FIELD_INVALID"),
            ("task.schedule.start_time", "FIELD_INVALID"),
            ("task.schedule.triggers[0].interval", "FIELD_INVALID"),
            ("task.params.a[0]['b c']", "NON_FINITE_NUMBER"),
            ("task.params.a[0]['']", "INTEGER_PRECISION"),
            ("task.params['\\x00']", "NUL_CHARACTER"),
            ("task.params.t", "NUL_CHARACTER"),
            ("task.params.unset", "FIELD_REQUIRED"),
        ]
    )


@pytest.mark.parametrize(("levels", "reasons"), [(MAX_JSON_DEPTH, []), (MAX_JSON_DEPTH + 1, ["JSON_TOO_DEEP"])])
def test_json_is_bounded_in_depth(levels: int, reasons: list[str]) -> None:
    """Counted from the field on."""
    request = RunTaskRequest()
    inner = request.params
    for _ in range(levels - 1):
        inner = inner.fields["a"].struct_value
    inner.fields["a"].bool_value = True
    assert [reason for _, reason in found(request)] == reasons


def test_the_number_of_violations_is_bounded() -> None:
    """An answer to a megabyte of mistakes is no megabyte."""
    request = RunTaskRequest()
    for index in range(1000):
        request.params.fields[f"k{index}"].number_value = math.nan
    assert len(found(request)) == 100


def test_null_is_a_value() -> None:
    """And an unset Value is not."""
    request = PutStateEntryRequest()
    request.entry.value.null_value = 0  # type: ignore[assignment]  # the only value of NullValue
    assert found(request) == []
    header = CreateToolRequest()
    header.tool.http.headers["a"] = "b"
    assert found(header) == []
