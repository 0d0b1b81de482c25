"""Settings of a scheduler, read from the environment."""

from pydantic import Field

from ordinaut.limits import METRICS_PORTS, SCHEDULER_PORT
from ordinaut.settings import Listen, StoreSettings, StreamSettings


class SchedulerSettings(StoreSettings, StreamSettings):
    """Settings of a scheduler process."""

    scheduler_listen: Listen = f"127.0.0.1:{SCHEDULER_PORT}"
    scheduler_metrics_port: int = Field(METRICS_PORTS["scheduler"], ge=0, le=65535)
    fire_batch: int = Field(1000, ge=1, le=1000)
    plan_batch: int = Field(200, ge=1, le=1000)
    audit_days: int = Field(400, ge=1, le=36_500, description="days after which sealed audit records are dropped")
    catch_up_per_second: int = Field(100, ge=1, le=10_000)  # runs, by all schedulers together
