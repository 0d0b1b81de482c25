"""Explanations of occurrences in English; `{…}` are filled in."""

from ordinaut.v1.explanation_pb2 import Hindrance

PHRASES = {
    "NOTHING_DUE": "Nothing was due at {moment}.",
    "NOTHING_COMES": "Nothing is due at {moment}.",
    "NO_TIMES": "The schedule has no times; events or people start the task.",
    "UNKNOWN": "What the schedule says of {moment} cannot be told, because no scheduler answers.",
    "UPCOMING": "The task is due at {moment}.",
    "LATE": "The task was due at {moment}; that is late by {late}.",
    "QUEUED": "What was due at {moment} became {run}, which has waited in the queue since {since}.",
    "RUNNING": "What was due at {moment} became {run}, which is {state} and started at {start}.",
    "ENDED": "What was due at {moment} became {run}, which ended {state} at {end}{error}.",
    "FORGOTTEN": "What was due at {moment} became {run}, which is not kept any more.",
    "ITS_RUN": "Its run: {run} ({state}).",
    "SKIPPED_OVERLAP": "What was due at {moment} did not run, because a run of the task was live.",
    "COALESCED": "What was due at {moment} was missed, and so was a later one, which stands for it{successor}.",
    "MISSED": "What was due at {moment} was missed: {reason}.",
    "PAUSED": "What was due at {moment} did not run, because the task was paused.",
    "EXCLUDED": "What was due at {moment} did not run, because its day is excluded.",
    "SKIPPED": "What is due at {moment} was taken away: {reason}.",
    "EXCLUDED_AHEAD": "It will not run, because its day is excluded.",
    "BEFORE": "Before that the schedule says {before}{outcome}.",
    "AFTER": "After that the schedule says {after}.",
    "THE_END": "After that the schedule says nothing.",
    "STOOD_FOR": " (that of {successor}: {outcome})",
    "OUTCOME": " ({outcome})",
}
OBSTACLES = {
    Hindrance.NO_SCHEDULER: "no scheduler answers",
    Hindrance.CATCHING_UP: "schedulers are behind and catch up",
    Hindrance.TASK_PAUSED: "the task has been paused since {time}{reason}",
    Hindrance.LIVE_RUN: "{resource} was live",
    Hindrance.LATER_START: "it is to start at {time}",
    Hindrance.QUEUE: "{number} claimable runs are ahead of it",
    Hindrance.NO_WORKER: "no worker is alive",
    Hindrance.NO_ENGINE: "no pipeline engine answers",
    Hindrance.BUSY: "nothing is ahead of it; workers have no room for it yet",
    Hindrance.BUFFERED_RUN: "it waits for its turn behind {resource}",
    Hindrance.OTHER_SCHEDULE: "the task did not exist yet, or its schedule was another one",
}
REASONS: dict[str, str] = {}  # of the ledger, patterns and what they become; its own are English
