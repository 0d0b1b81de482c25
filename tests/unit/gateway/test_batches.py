"""Many requests in one: every problem of every one, each at its place."""

import asyncio

import pytest

from gateway.api.batches import BATCH_MAX, CONCURRENT_CHECKS, Batch
from ordinaut.errors import InvalidArgumentError, PermissionDeniedError, Repair, Violation
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_service_pb2 import CreateTaskRequest


def requests(count: int) -> list[CreateTaskRequest]:
    return [CreateTaskRequest(task_id=str(number)) for number in range(count)]


async def test_results_are_in_the_order_of_the_requests() -> None:
    """However long each takes; only a few are checked at a time."""
    running = most = 0
    gate = asyncio.Event()

    async def check(request: CreateTaskRequest) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == CONCURRENT_CHECKS:
            gate.set()
        await gate.wait()
        running -= 1
        return request.task_id

    assert await Batch(requests(50)).checked(check) == [str(number) for number in range(50)]
    assert most == CONCURRENT_CHECKS


async def test_paths_of_violations_and_fixes_begin_with_their_request() -> None:
    repair = Repair("x", [{"op": "move", "from": "/task/a", "path": "/task/b"}])

    async def check(request: CreateTaskRequest) -> None:
        if request.task_id in {"1", "3"}:
            raise InvalidArgumentError.of([Violation("task.steps[2].if", "wrong", repair=repair)])

    with pytest.raises(InvalidArgumentError) as refused:
        await Batch(requests(4)).checked(check)
    first, second = refused.value.violations
    assert [first.field, second.field] == ["requests[1].task.steps[2].if", "requests[3].task.steps[2].if"]
    assert second.repair is not None
    assert second.repair.operations == [{"op": "move", "from": "/requests/3/task/a", "path": "/requests/3/task/b"}]


async def test_other_errors_are_raised_unchanged() -> None:
    async def check(request: CreateTaskRequest) -> None:
        raise PermissionDeniedError(ErrorReason.MISSING_SCOPE, "no", {}, [Violation("task.pipeline", "no")])

    with pytest.raises(PermissionDeniedError) as refused:
        await Batch(requests(1)).checked(check)
    assert refused.value.violations[0].field == "requests[0].task.pipeline"


@pytest.mark.parametrize("count", [0, BATCH_MAX + 1])
def test_the_size_of_a_batch_is_bounded(count: int) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        Batch(requests(count))
    assert [violation.field for violation in refused.value.violations] == ["requests"]


def test_names_in_a_batch_are_unique() -> None:
    """Requests without a chosen name are never twins."""
    batch = Batch(requests(5))
    batch.refuse_duplicates("task_id", ["a", None, "b", None, "c"])
    with pytest.raises(InvalidArgumentError) as refused:
        batch.refuse_duplicates("task_id", ["a", None, "a", "b", "a"])
    assert [violation.field for violation in refused.value.violations] == ["requests[2].task_id", "requests[4].task_id"]
