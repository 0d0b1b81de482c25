"""The metrics of a scheduler."""

from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram, Info

from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION

FIRED = Counter("ordinaut_cursors_fired", "Cursors that were fired")
ENQUEUED = Counter("ordinaut_runs_enqueued", "Runs that schedules or events have queued", ["by"])
PLANNED = Counter("ordinaut_cursors_planned", "Next instants of cursors that were computed")
UNFIRED = Counter("ordinaut_occurrences_unfired", "Occurrences recorded without a run", ["outcome"])
SET_ASIDE = Counter("ordinaut_cursors_set_aside", "Tasks paused because their schedule could not be evaluated")
OVERDUE = Counter("ordinaut_tasks_overdue", "Lapses: tasks without a success for as long as their policy allows")
PAUSED = Counter("ordinaut_tasks_paused_after_failures", "Tasks paused because too many runs in a row failed")
RELEASED = Counter("ordinaut_turns_given", "Buffered runs that became claimable")
SUPERSEDED = Counter("ordinaut_runs_overtaken", "Runs cancelled because a newer one of their task takes their place")
PROMOTED = Counter("ordinaut_runs_promoted", "Delayed runs that became claimable")
RESCUED = Counter("ordinaut_runs_rescued", "Runs returned to the queue because the lease of their worker expired")
LOST_TOO_OFTEN = Counter("ordinaut_suspects_ended", "Quarantined runs that ended: lost too often, or cancelled")
NUMBERED = Counter("ordinaut_outbox_rows_numbered", "Rows of the event log that got their positions")
SENT = Counter("ordinaut_outbox_rows_sent", "Rows of the event log that were sent to the stream")
MATCHED = Counter("ordinaut_events_matched", "Events that were matched against the triggers")
MATCH_REFUSED = Counter("ordinaut_matches_refused", "Matches that PostgreSQL rejected and that were left out")
CONDITION_FAILED = Counter(
    "ordinaut_trigger_conditions_failed", "Conditions of event triggers that could not be evaluated"
)
WAITS_ENDED = Counter("ordinaut_waits_ended", "Waits of runs that were ended", ["by"])
CHAINS_STOPPED = Counter("ordinaut_event_chains_stopped", "Triggered runs refused because their chain is too long")
FIRE_LAG = Gauge("ordinaut_fire_lag_seconds", "How late the earliest due cursor is")
OUTBOX_AGE = Gauge("ordinaut_outbox_age_seconds", "Age of the oldest event that is not sent yet")
SIMULATIONS = Gauge("ordinaut_simulations_under_way", "Simulations with an open stream")
LOOP_SECONDS = Histogram("ordinaut_duty_seconds", "Duration of one run of a periodic loop", ["duty"])
ZONE_DATA = Info("ordinaut_zone_data", "The zone data that instants are computed with")
ZONE_DATA.info({"tzdata": version("tzdata"), "iana": ZONE_DATA_VERSION})
MOVED = Counter("ordinaut_cursors_moved_by_zone_data", "Future occurrences that newer zone data moved")
