"""What a worker measures."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

CLAIMED = Counter("ordinaut_runs_claimed", "Runs that this worker has claimed")
ENDED = Counter("ordinaut_runs_ended", "Runs that this worker has ended", ["state"])
DELAYED = Counter("ordinaut_runs_delayed", "Runs given back until their next try")
SUSPENDED = Counter("ordinaut_runs_suspended", "Runs given back until something has happened")
DROPPED = Counter("ordinaut_results_dropped", "Results refused because the lease was over or taken", ["what"])
LOST = Counter("ordinaut_engine_losses", "Runs given back because their engine went away")
HELD = Gauge("ordinaut_runs_held", "Runs that this worker holds now")
DUE_TO_START = Histogram("ordinaut_due_to_start_seconds", "From due_time to the first claim", buckets=SECONDS)
COMMIT = Histogram("ordinaut_commit_seconds", "One group commit", ["what"], buckets=SECONDS)
COMMIT_SIZE = Histogram(
    "ordinaut_commit_items", "Items in one group commit", ["what"], buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
