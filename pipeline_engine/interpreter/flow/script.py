"""Runs a whole pipeline: its steps, after a failure its handlers, and at the end, however it ends, its `finally`.

The handlers of a run with a deadline, and `finally`, begin with an entry that records the state and the error with
which they began. A resumed run that finds one continues there: the steps before it are only read from the journal, and
those that had not ended do not start any more.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.limits import FINALLY_SECONDS
from pipeline_engine.data.failure import VALIDATION_INPUT, Failure
from pipeline_engine.interpreter.flow.steps import run_handlers, run_steps
from pipeline_engine.interpreter.journal import CANCELLED, FAILED, SUCCEEDED
from pipeline_engine.interpreter.requests import CheckValue, Finished
from pipeline_engine.interpreter.run import Run
from pipeline_engine.interpreter.step_values import failed_check, render
from pipeline_engine.interpreter.strand import Strand
from pipeline_engine.interpreter.strand_protocol import Exit, Expired, Failed, Stopped, StrandRequest

HANDLER_SECONDS = 60.0
"""Time that the handlers of an expired run get."""
HANDLERS, FINALLY = "on_error", "finally"
"""Paths of the entries that record how the main part has ended; with a dot they begin the paths of the steps."""
ScriptFlow = Generator[StrandRequest, Any, Finished]


def run_script(run: Run, roots: dict[str, Any], params_check: CheckValue | None = None) -> ScriptFlow:
    """Runs a whole pipeline; with `params_check` only if the params are valid, otherwise nothing of it."""
    if params_check is not None and (failure := (yield from _check_params(params_check))) is not None:
        return Finished((), FAILED, error=failure.to_json())
    handling, finishing = (run.journal.recorded.get(path) for path in (HANDLERS, FINALLY))
    run.is_closed = run.is_closed or handling is not None or finishing is not None
    strand = Strand(run, "", roots)
    end = yield from run_steps(strand, run.plan.steps)
    if end is None:
        end = _render_output(run, roots)
    if isinstance(end, Expired):
        run.journal.cut_off_waits(run.now_us())
    if finishing is not None:
        return (yield from run_finally(run, roots, _recorded_end(finishing, end)))
    if handling is not None:
        end = Failed(Failure.from_json(_recorded_end(handling, end).error))
    if isinstance(end, Failed | Expired) and run.plan.on_error and not run.cancelled:
        yield from _run_handlers(strand, end.failure)
    return (yield from run_finally(run, roots, _ended(run, end)))


def _check_params(params: CheckValue) -> Generator[StrandRequest, Any, Failure | None]:
    """Checks the params of a child run, which come from another run's step."""
    if params.check.is_costly(len(params.body)):
        problem = yield params
    else:
        problem = params.check.first_problem(orjson.loads(params.body))
    if problem is None:
        return None
    failure = failed_check(VALIDATION_INPUT, problem)
    return replace(failure, message=f"params: {failure.message}")


def run_finally(run: Run, roots: dict[str, Any], ended: Finished) -> ScriptFlow:
    """Runs `finally` after the main part has `ended`, and returns the end of the run.

    A failure in it fails a run that has succeeded. To the error of a run that has failed it is added as the detail
    `finally`. A cancelled run stays CANCELLED.
    """
    if run.plan.final_steps:
        elapsed = _begin(run, FINALLY, ended)
        run.finish_within(FINALLY_SECONDS - elapsed)
        strand = Strand(run, f"{FINALLY}.", _final_roots(run, roots, ended), run.journal.last_barrier)
        end = yield from run_steps(strand, run.plan.final_steps)
        if isinstance(end, Failed | Expired):
            ended = _with_failure(ended, end.failure)
    return replace(ended, entries=run.journal.take_unsent())


def _final_roots(run: Run, roots: dict[str, Any], ended: Finished) -> dict[str, Any]:
    """Returns the values of the root names; a step of the main part that never ran is null."""
    names = [name for step in run.plan.steps for name in (*step.names, *step.inner_names)]
    return {
        **roots,
        "run": {**roots.get("run", {}), "state": ended.state, "error": _value(ended.error)},
        "steps": {name: roots["steps"].get(name) for name in names},
    }


def _render_output(run: Run, roots: dict[str, Any]) -> Exit | None:
    if run.plan.output is None:
        return None
    rendered = render(run.plan.output, roots, run.account)
    return Failed(rendered) if isinstance(rendered, Failure) else Stopped(rendered[1])


def _run_handlers(strand: Strand, failure: Failure) -> Generator[StrandRequest, Any, None]:
    """Runs the handlers of the pipeline; without a deadline they have their time again after each wait."""
    run, elapsed = strand.run, 0.0
    if run.plan.deadline is not None:
        elapsed = _begin(run, HANDLERS, Finished((), FAILED, error=failure.to_json()))
    run.extend(HANDLER_SECONDS - elapsed)
    run.is_closed = False
    strand.barrier = run.journal.last_barrier
    end = yield from run_handlers(strand, run.plan.on_error, f"{HANDLERS}.", failure)
    if isinstance(end, Expired):
        run.journal.cut_off_waits(run.now_us())


def _begin(run: Run, path: str, ended: Finished) -> float:
    """Records how the main part has ended, unless an earlier segment did; returns the seconds that it has spent since.

    The time between a crash and the resumption does not count, so the durations of the steps are added. While one of
    them waits, all of the time counts.
    """
    journaled = run.journal.recorded.get(path)
    if journaled is None:
        now_us = run.now_us()
        output = orjson.dumps({"state": ended.state, "error": _value(ended.error)})
        entry = JournalEntry(path=path, attempt=1, state=SUCCEEDED, output=output, start_us=now_us, end_us=now_us)
        run.journal.add(entry, barrier=True)
        return 0.0
    prefix = f"{path}."
    if any(wait.startswith(prefix) for wait in run.journal.waits):
        return max(0, run.now_us() - journaled.end_us) / 1_000_000
    entries = [entry for place, entry in run.journal.recorded.items() if place.startswith(prefix) and entry.tool]
    return sum(max(0, entry.end_us - entry.start_us) for entry in entries) / 1_000_000


def _recorded_end(recorded: JournalEntry, end: Exit | None) -> Finished:
    """Returns how the main part has ended by its record; the output of a success is that to which the journal leads."""
    value = orjson.loads(recorded.output)
    output = end.output if isinstance(end, Stopped) and value["state"] == SUCCEEDED else b""
    error = b"" if value["error"] is None else orjson.dumps(value["error"])
    return Finished((), value["state"], output=output, error=error)


def _ended(run: Run, end: Exit | None) -> Finished:
    if not isinstance(end, Failed | Expired):
        return Finished((), SUCCEEDED, output=end.output if end else b"")
    if run.cancelled:
        return Finished((), CANCELLED)
    return Finished((), FAILED, error=end.failure.to_json())


def _with_failure(ended: Finished, failure: Failure) -> Finished:
    if ended.state == SUCCEEDED:
        return Finished((), FAILED, error=failure.to_json())
    if ended.state == CANCELLED:
        return ended
    first = Failure.from_json(ended.error)
    details = {**first.details, FINALLY: failure.to_dict()}
    return replace(ended, error=replace(first, details=details).to_json())


def _value(text: bytes) -> Any:
    return orjson.loads(text) if text else None
