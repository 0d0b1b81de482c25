"""The metrics of a scheduler."""

from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram, Info

from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION

FIRED = Counter("ordinaut_cursors_fired", "Occurrences fired")
ENQUEUED = Counter("ordinaut_runs_enqueued", "Runs enqueued by schedules or events", ["source"])
PLANNED = Counter("ordinaut_cursors_planned", "Schedules whose next occurrence was computed")
UNFIRED = Counter("ordinaut_occurrences_without_run", "Occurrences recorded without a run", ["outcome"])
SET_ASIDE = Counter("ordinaut_tasks_paused_on_schedule_error", "Tasks paused because their schedule caused an error")
OVERDUE = Counter("ordinaut_tasks_overdue", "Tasks without a success within expect_success_every, once per lapse")
PAUSED = Counter("ordinaut_tasks_paused_after_failures", "Tasks paused by pause_after_failures")
RELEASED = Counter("ordinaut_blocked_runs_released", "Buffered runs that became claimable")
SUPERSEDED = Counter("ordinaut_runs_superseded", "Runs cancelled by the overlap policy CANCEL_OTHER")
PROMOTED = Counter("ordinaut_runs_promoted", "Delayed runs that became claimable")
RESCUED = Counter("ordinaut_runs_rescued", "Runs returned to the queue because the lease of their worker expired")
LOST_TOO_OFTEN = Counter("ordinaut_quarantined_runs_ended", "Quarantined runs ended: lost too often, or cancelled")
NUMBERED = Counter("ordinaut_outbox_rows_numbered", "Rows of the event log that were numbered")
SENT = Counter("ordinaut_outbox_rows_sent", "Rows of the event log that were sent to Redis")
MATCHED = Counter("ordinaut_events_matched", "Events matched against triggers")
MATCH_REFUSED = Counter("ordinaut_event_matches_rejected", "Matches that PostgreSQL rejected; each was skipped")
CONDITION_FAILED = Counter("ordinaut_trigger_conditions_failed", "Conditions of event triggers that failed to evaluate")
CONDITION_SECONDS = Counter("ordinaut_condition_seconds", "CPU time of conditions in child processes")
CONDITION_PROCESSES_ENDED = Counter("ordinaut_condition_processes_ended", "Processes ended because of one condition")
TRIGGERS_DISABLED = Counter(
    "ordinaut_triggers_disabled", "Event triggers disabled because of the cost of their condition"
)
WAITS_ENDED = Counter("ordinaut_waits_resolved", "Waits that were resolved", ["source"])
CHAINS_STOPPED = Counter("ordinaut_event_chains_stopped", "Triggered runs rejected at the maximum chain depth")
FIRE_LAG = Gauge("ordinaut_fire_lag_seconds", "How late the most overdue schedule is")
WORKERS = Gauge("ordinaut_workers", "Worker processes with a live lease")
OUTBOX_AGE = Gauge("ordinaut_outbox_age_seconds", "Age of the oldest event that is not numbered or not sent")
SIMULATIONS = Gauge("ordinaut_simulations_running", "Simulations in progress")
LOOP_SECONDS = Histogram("ordinaut_scheduler_loop_seconds", "One pass of a periodic loop", ["loop"])
ZONE_DATA = Info("ordinaut_zone_data", "Version of the time zone data")
ZONE_DATA.info({"tzdata": version("tzdata"), "iana": ZONE_DATA_VERSION})
MOVED = Counter("ordinaut_occurrences_moved_by_zone_data", "Future occurrences moved by newer time zone data")
