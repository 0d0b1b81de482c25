"""What WatchRun sends: the run, and those of its steps that have changed since the answer before."""

from dataclasses import replace

from gateway.runs.conversion import to_run, to_steps
from ordinaut.store.run import RunRecord
from ordinaut.v1.run_pb2 import StepRun
from ordinaut.v1.run_service_pb2 import WatchRunResponse


class Changes:
    """The answers of one stream. A step is one path and attempt; what changes about it is its state."""

    def __init__(self, *, payloads: bool) -> None:
        self._payloads = payloads
        self._run = b""
        self._states: dict[tuple[str, int], StepRun.State.ValueType] = {}

    def of(self, record: RunRecord) -> WatchRunResponse | None:
        """The answer for the run as it is now, with its steps in the record; None when nothing has changed."""
        message = WatchRunResponse(run=to_run(replace(record, steps=None)))
        for step in to_steps(record):
            place = step.path, step.attempt
            if self._states.get(place) != step.state:
                self._states[place] = step.state
                message.steps.append(step if self._payloads else without_payload(step))
        run = message.run.SerializeToString(deterministic=True)
        if run == self._run and not message.steps:
            return None
        self._run = run
        return message


def without_payload(step: StepRun) -> StepRun:
    """The step in view BASIC."""
    step.ClearField("input")
    step.ClearField("output")
    return step
