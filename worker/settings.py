"""The settings of a worker, from its environment."""

from pydantic import Field

from ordinaut.limits import ENGINE_PORT, METRICS_PORTS, WORKER_PORT
from ordinaut.settings import Listen, StoreSettings


class WorkerSettings(StoreSettings):
    """Settings of a worker process."""

    worker_listen: Listen = f"127.0.0.1:{WORKER_PORT}"
    worker_metrics_port: int = Field(METRICS_PORTS["worker"], ge=0, le=65535)
    engine_addresses: str = Field(f"127.0.0.1:{ENGINE_PORT}", description="comma-separated host:port of each engine")
    lease_seconds: float = Field(30.0, ge=1, le=600)
    claim_batch: int = Field(500, ge=1, le=1000)
    poll_seconds: float = Field(0.25, ge=0.01, le=10, description="interval of claims without a hint")
    fail_points: str = Field("", description="for fault tests: `hold_self_fence` ignores that the lease has expired")

    @property
    def engines(self) -> list[str]:
        """The engines' addresses."""
        return [address.strip() for address in self.engine_addresses.split(",") if address.strip()]
