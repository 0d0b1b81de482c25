"""Keeps responses with runs below the message size that every client accepts.

A run may hold 1 MiB of JSON in each of its params, event, output and error, and in the input and output of each step.
As protobuf values, lists of numbers take several times as much. Without a limit, a client could not receive the
response to a call that has already been committed.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.api.pagination import MAX_BYTES
from ordinaut.errors import ResourceExhaustedError
from ordinaut.limits import MAX_MESSAGE_BYTES
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import ReplayRunResponse

MAX_BYTES_KEY = "ordinaut-max-response-bytes"
"""Metadata with which a client announces that it accepts larger responses of GetRun."""
RUN_VALUES = ("params", "event.data", "output", "error.details")
STEP_VALUES = ("input", "output", "error.details")


def fit_run(run: Run) -> Run:
    """Leaves out the largest values of a run without steps until it takes at most 3 MiB; lists them in `omitted`."""
    _fit(run, RUN_VALUES)
    return run


def fit_step(step: StepRun) -> StepRun:
    """Leaves out the largest values of a step until it takes at most 3 MiB, and lists them in `omitted`."""
    _fit(step, STEP_VALUES)
    return step


def check_full(run: Run, max_bytes: int) -> Run:
    """Returns a run in view FULL.

    Raises:
        ResourceExhaustedError: TOO_LARGE: it takes more than `max_bytes`.
    """
    if (size := run.ByteSize()) > max_bytes:
        raise too_large(run.name, f"{size} bytes", max_bytes)
    return run


def too_large(name: str, size: str, max_bytes: int) -> ResourceExhaustedError:
    """The error of a run that is too large for view FULL; `size` is a text."""
    return ResourceExhaustedError(
        ErrorReason.TOO_LARGE,
        f"{name} must be at most {max_bytes} bytes in view FULL (got {size}); "
        "read it with view=BASIC, and its steps with ListRunSteps",
        {"resource": name, "view": "BASIC", "max_bytes": str(max_bytes)},
    )


def fit_replay(response: ReplayRunResponse) -> ReplayRunResponse:
    """Leaves out the inputs and outputs of the replayed run's steps if the response takes more than 4 MiB with them.

    Raises:
        ResourceExhaustedError: TOO_LARGE: the differences alone take more than 4 MiB.
    """
    if response.ByteSize() <= MAX_MESSAGE_BYTES:
        return response
    for step in response.run.steps:
        for name in ("input", "output"):
            if step.HasField(name):
                step.ClearField(name)
                step.omitted.append(name)
    _fit(response.run, RUN_VALUES)
    if (size := response.ByteSize()) > MAX_MESSAGE_BYTES:
        message = f"the replay of {response.run.name} must be at most {MAX_MESSAGE_BYTES} bytes (got {size})"
        raise ResourceExhaustedError(ErrorReason.TOO_LARGE, message, {"resource": response.run.name})
    return response


def accepted_bytes(metadata: Iterable[tuple[str, str | bytes]] | None) -> int:
    """Returns the size of responses that a client accepts: 4 MiB unless the metadata of its call announce more.

    >>> accepted_bytes([("ordinaut-max-response-bytes", "16777216")]), accepted_bytes(None)
    (16777216, 4194304)
    """
    announced = str(dict(metadata or ()).get(MAX_BYTES_KEY, ""))
    return (
        max(int(announced), MAX_MESSAGE_BYTES) if announced.isascii() and announced.isdecimal() else MAX_MESSAGE_BYTES
    )


def batches(steps: Iterable[StepRun]) -> Iterator[list[StepRun]]:
    """Splits steps into lists of at most 3 MiB; the last one may be empty."""
    batch: list[StepRun] = []
    size = 0
    for step in steps:
        step_size = fit_step(step).ByteSize()
        if batch and size + step_size > MAX_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(step)
        size += step_size
    yield batch


def _fit(message: Any, values: Iterable[str]) -> None:
    excess = message.ByteSize() - MAX_BYTES
    if excess <= 0:
        return
    sizes = {path: _size(message, path) for path in values}
    for path in sorted(sizes, key=lambda path: -sizes[path]):
        _clear(message, path)
        message.omitted.append(path)
        excess -= sizes[path]
        if excess <= 0:
            return


def _size(message: Any, path: str) -> int:
    parent, _, name = path.rpartition(".")
    holder = getattr(message, parent) if parent else message
    return int(getattr(holder, name).ByteSize()) if holder.HasField(name) else 0


def _clear(message: Any, path: str) -> None:
    parent, _, name = path.rpartition(".")
    (getattr(message, parent) if parent else message).ClearField(name)
