"""The entries of steps that end because something else in their run has: the failure of a sibling, or a stop."""

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.interpreter.journal import CANCELLED
from pipeline_engine.interpreter.requests import Call
from pipeline_engine.interpreter.run import Run
from pipeline_engine.tools.definition import UNSAFE

ABOUT_A_CALL = "?"
"""Marks the paths of lookups, and of questions about a call: these are no steps."""


def cut_off(run: Run, wait: Wait | None, call: Call | None, asked: float) -> JournalEntry | None:
    """The entry of a step that waits or is being called since the monotonic time `asked`; None when it has not started.

    The call of an UNSAFE tool keeps the entry of its start, because nobody knows whether it happened.
    """
    entry = JournalEntry(attempt=1, state=CANCELLED, end_us=run.now_us())
    asked_us = entry.end_us - round((run.clock.monotonic() - asked) * 1_000_000)
    if wait is not None:
        known = run.journal.waits.get(
            wait.path
        )  # a wait that was asked for in an earlier stay is named by its path only
        entry.path = wait.path
        entry.tool, entry.input = (known.tool, known.input) if known is not None else (wait.tool, wait.input)
        entry.start_us = asked_us if known is None else known.start_us
    elif call is not None and call.tool.effect != UNSAFE:
        entry.path, entry.attempt, entry.tool, entry.input = call.path, call.attempt, call.tool.name, call.body
        entry.start_us = run.begins_us(call.path, call.attempt) if run.begun_us is not None else asked_us
    return entry if entry.path and ABOUT_A_CALL not in entry.path else None
