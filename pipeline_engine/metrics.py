"""Metrics of the engine; every label is bounded."""

from prometheus_client import Counter, Gauge, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
RUNS = Counter("ordinaut_engine_runs", "Runs that left this engine", ["state"])
LIVE = Gauge("ordinaut_engine_live_runs", "Runs in this engine")
STEPS = Histogram("ordinaut_engine_step_seconds", "Duration of one attempt of a step", ["state"], buckets=BUCKETS)
TOOLS = Histogram(
    "ordinaut_engine_tool_seconds", "Duration of one call of a tool over the network", ["outcome"], buckets=BUCKETS
)
PROCESSES_ENDED = Counter("ordinaut_engine_check_processes_ended", "Processes ended because a check took too long")
STEP_STATES = {state: STEPS.labels(state) for state in ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELLED")}
RUN_STATES = {state: RUNS.labels(state) for state in ("SUCCEEDED", "FAILED", "DELAYED", "WAITING", "CANCELLED")}
