"""Templates of explanations in English."""

from ordinaut.v1.explanation_pb2 import Hindrance

PHRASES = {
    "NOTHING_DUE": "Nothing was due at {instant}.",
    "NOTHING_UPCOMING": "Nothing is due at {instant}.",
    "NO_TIMES": "The task is started by events or manually; its schedule does not define times.",
    "UNKNOWN": "Whether anything is due at {instant} is unknown, because the scheduler is unavailable.",
    "UPCOMING": "The task is due at {instant}.",
    "LATE": "The task was due at {instant} and is late by {late}.",
    "QUEUED": "The occurrence due at {instant} became {run}, which has been queued since {since}.",
    "RUNNING": "The occurrence due at {instant} became {run}, which is {state} and started at {start}.",
    "ENDED": "The occurrence due at {instant} became {run}, which ended as {state} at {end}{error}.",
    "RUN_DELETED": "The occurrence due at {instant} became {run}, which has been deleted.",
    "RUN": "Its run: {run} ({state}).",
    "SKIPPED_OVERLAP": "The occurrence due at {instant} did not run, because another run of the task was live.",
    "BACKPRESSURE": (
        "The occurrence due at {instant} did not run, because the owner of the task or the project had as many live "
        "runs as its quota permits."
    ),
    "COALESCED": "The occurrence due at {instant} was missed and replaced by a later one{successor}.",
    "MISSED": "The occurrence due at {instant} was missed: {reason}.",
    "PAUSED": "The occurrence due at {instant} did not run, because {reason}.",
    "EXCLUDED": "The occurrence due at {instant} did not run, because its day is excluded.",
    "SKIPPED": "The occurrence due at {instant} was skipped: {reason}.",
    "EXCLUDED_AHEAD": "It will not run, because its day is excluded.",
    "CLOCKS_SKIP": "Clocks in {zone} skip from {before} to {after} on {day}, so the times between do not exist.",
    "CLOCKS_REPEAT": "Clocks in {zone} go back from {before} to {after} on {day}, so the times between occur twice.",
    "MOVED": "The occurrence of {nominal} is moved to {time}.",
    "BEFORE": "The previous time in the schedule is {before}{outcome}.",
    "AFTER": "The next time in the schedule is {after}.",
    "NO_LATER_TIME": "The schedule ends after that.",
    "SUCCESSOR": " (due at {successor}, outcome {outcome})",
    "OUTCOME": " ({outcome})",
}
OBSTACLES = {
    Hindrance.NO_SCHEDULER: "the scheduler is unavailable",
    Hindrance.CATCHING_UP: "the schedulers are late and catching up",
    Hindrance.TASK_PAUSED: "the task has been paused since {time}{reason}",
    Hindrance.LIVE_RUN: "{resource} was live",
    Hindrance.LATER_START: "it will start at {time}",
    Hindrance.QUEUE: "{number} ready runs are ahead of it in the queue",
    Hindrance.NO_WORKER: "no worker is running",
    Hindrance.NO_ENGINE: "the pipeline engine is unavailable",
    Hindrance.BUSY: "it is first in the queue, but all workers are busy",
    Hindrance.BUFFERED_RUN: "it is buffered until {resource} has ended",
    Hindrance.OTHER_SCHEDULE: "the task did not exist yet or had a different schedule",
    Hindrance.TRIGGER_DISABLED: "trigger {resource} is disabled since {time} (CONDITION_OVER_BUDGET), because its "
    "condition used too much CPU time; its events are kept until an update of the task or ResumeTask enables it",
}
REASONS: dict[str, str] = {}  # translations of reasons in the ledger, which are in English
