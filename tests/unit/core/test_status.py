"""Errors on the wire."""

from google.rpc import error_details_pb2

from ordinaut.errors import AbortedError, InvalidArgumentError, Repair, Violation
from ordinaut.rpc.status import to_status, violation_of
from ordinaut.v1.error_pb2 import ErrorReason, Fix


def test_a_status_has_exactly_one_error_info_with_the_facts_as_text() -> None:
    status = to_status(AbortedError(ErrorReason.ETAG_MISMATCH, "stale", {"etag": 7}, retry_after=0.5))
    info = error_details_pb2.ErrorInfo()
    assert status.code == 10
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == ("ETAG_MISMATCH", "ordinaut", {"etag": "7"})
    retry = error_details_pb2.RetryInfo()
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 500


def test_all_violations_are_included_with_their_fixes() -> None:
    repair = Repair("uses the tool's name", [{"op": "replace", "path": "/task/pipeline/steps/0/uses", "value": "a.b"}])
    error = InvalidArgumentError.of(
        [
            Violation("task.pipeline.steps[0].uses", "no such tool", ErrorReason.UNKNOWN_TOOL, repair),
            Violation("task_id", "too long", ErrorReason.NAME_INVALID),
        ]
    )
    status = to_status(error)
    assert error.reason == ErrorReason.INVALID_REQUEST
    request = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(request)
    assert [violation.field for violation in request.field_violations] == ["task.pipeline.steps[0].uses", "task_id"]
    fix = Fix()
    assert status.details[2].Unpack(fix)
    assert fix.field == "task.pipeline.steps[0].uses"
    assert violation_of("x", "m", ErrorReason.UNKNOWN_TOOL, fix).repair == repair


def test_violations_of_one_reason_determine_the_reason() -> None:
    error = InvalidArgumentError.of([Violation("a", "x", ErrorReason.NAME_INVALID)] * 2)
    assert error.reason == ErrorReason.NAME_INVALID


def test_a_status_fits_into_the_trailers_of_every_client() -> None:
    """At most 8 KiB with base64; the first violations are included, with the number of omitted ones."""
    repair = Repair("writes it anew", [{"op": "replace", "path": "/x", "value": "v" * 500}])
    violations = [Violation(f"steps[{n}]." + "k" * 9_000, "ü" * 9_000, repair=repair) for n in range(500)]
    error = InvalidArgumentError.of(violations)
    error.facts = {"resource": "r" * 9_000}
    status = to_status(error)
    assert status.ByteSize() * 4 / 3 < 8_000
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(request)
    assert request.field_violations[0].field.startswith("steps[0].")
    assert len(request.field_violations) + int(info.metadata["violations_omitted"]) == 500
