"""Converts stored runs and steps to API messages."""

from typing import Any

from gateway.api.json_values import fill_struct, fill_value, parse, timestamp
from gateway.events.conversion import to_event
from gateway.runs.response_size import fit_run
from ordinaut.names import final_root, idempotency_key, occurrence_id
from ordinaut.sensitive import masked
from ordinaut.store.runs.run import RunRecord
from ordinaut.v1.run_pb2 import Run, RunError, StepRun, Wait

SMALL = 128 * 1024  # characters of JSON
UNENDED = frozenset({StepRun.RUNNING, StepRun.WAITING})


def to_run(record: RunRecord) -> Run:
    """Converts a run: in view BASIC, where large values may be left out, or FULL if the record has steps."""
    message = Run(
        name=f"runs/{record.id}",
        task=f"tasks/{record.task_name}" if record.task_name else "",
        task_uid=str(record.task) if record.task_name else "",
        task_version=record.task_version if record.task_name else 0,
        owner=record.owner,
        labels=parse(record.labels),
        kind=Run.Kind.Value(record.kind),
        trigger=record.trigger,
        occurrence=occurrence_id(record.occurrence, record.scheduled_time),
        state=Run.State.Value(record.state),
        claims=record.claims,
        losses=record.losses,
        cancel_reason=record.cancel_reason,
        create_time=timestamp(record.create_time),
    )
    if record.retry_of is not None:
        message.retry_of = f"runs/{record.retry_of}"
    message.retries.extend(f"runs/{retry}" for retry in record.retries or ())
    if record.backfill is not None:
        message.backfill = record.backfill
    if record.parent is not None:
        message.parent = f"runs/{record.parent}"
    _fill_times(message, record)
    fill_struct(message.params, parse(record.params))
    if record.event is not None:
        message.event.CopyFrom(to_event(parse(record.event)))
    if record.output is not None:
        fill_value(message.output, parse(record.output))
    if record.error is not None:
        fill_error(message.error, parse(record.error))
    if record.waits is not None:
        message.waits.extend(map(_wait, parse(record.waits)))
    if record.steps is not None:
        message.steps.extend(to_steps(record))
        return message
    return fit_run(message) if _may_be_large(record) else message


def _may_be_large(record: RunRecord) -> bool:
    """Whether the run can take more than 3 MiB: as protobuf, JSON takes at most 13 times its length."""
    texts = (record.params, record.event, record.output, record.error)
    return sum(len(text) for text in texts if text is not None) > SMALL


def to_steps(record: RunRecord) -> list[StepRun]:
    """Converts the steps of a record."""
    return [to_step(record, step) for step in parse(record.steps or "[]")]


def fill_error(message: RunError, error: dict[str, Any]) -> None:
    """Copies a recorded error into an empty message."""
    for name in ("code", "message", "step", "pointer", "tool", "attempt", "retryable"):
        if value := error.get(name):
            setattr(message, name, masked(value) if isinstance(value, str) else value)
    if error.get("details"):
        fill_struct(message.details, error["details"])


def _fill_times(message: Run, record: RunRecord) -> None:
    if record.scheduled_time is not None:
        message.scheduled_time.FromDatetime(record.scheduled_time)
        message.interval.start_time.FromDatetime(record.scheduled_time)
        if record.interval_end is not None:
            message.interval.end_time.FromDatetime(record.interval_end)
    if record.start_time is not None:
        message.start_time.FromDatetime(record.start_time)
    if record.end_time is not None:
        message.end_time.FromDatetime(record.end_time)


def _wait(wait: dict[str, Any]) -> Wait:
    message = Wait(
        step=wait["step"],
        kind=Wait.Kind.Value(wait["kind"]),
        topic=wait["topic"],
        condition_error=wait["condition_error"],
    )
    message.create_time.FromJsonString(wait["create_time"])
    if wait["run"] is not None:
        message.run = f"runs/{wait['run']}"
    if wait["deadline"] is not None:
        message.deadline.FromJsonString(wait["deadline"])
    message.approval = wait["approval"] or ""
    return message


def to_step(record: RunRecord, step: dict[str, Any]) -> StepRun:
    """Converts a step, in the form of `RunRecord.steps`, of a run."""
    is_final = step["path"].startswith("finally.")
    root = final_root(record.root, f"runs/{record.id}") if is_final else record.root
    message = StepRun(
        path=step["path"],
        tool=step["tool"],
        state=StepRun.State.Value(step["state"]),
        attempt=step["attempt"],
        idempotency_key=idempotency_key(root, step["path"]),
    )
    message.start_time.FromJsonString(step["start_time"])
    if message.state not in UNENDED:
        message.end_time.FromJsonString(step["end_time"])
    for name in ("input", "output"):
        if step[name] is not None:
            fill_value(getattr(message, name), step[name])
    if step["error"] is not None:
        fill_error(message.error, step["error"])
    return message
