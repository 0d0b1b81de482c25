"""The metrics of a worker."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

CLAIMED = Counter("ordinaut_runs_claimed", "Runs claimed")
ENDED = Counter("ordinaut_runs_ended", "Runs ended", ["state"])
DELAYED = Counter("ordinaut_runs_delayed", "Runs returned to the queue until their next attempt")
SUSPENDED = Counter("ordinaut_runs_suspended", "Runs suspended until a wait is over")
DROPPED = Counter("ordinaut_results_dropped", "Results dropped because the lease was lost", ["stage"])
LOST = Counter("ordinaut_engine_losses", "Runs returned to the queue because their engine was lost")
HELD = Gauge("ordinaut_runs_held", "Runs held")
DUE_TO_START = Histogram("ordinaut_due_to_start_seconds", "From due_time to the first claim", buckets=SECONDS)
COMMIT = Histogram("ordinaut_commit_seconds", "Duration of one group commit", ["stage"], buckets=SECONDS)
COMMIT_SIZE = Histogram(
    "ordinaut_commit_items", "Items in one group commit", ["stage"], buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
