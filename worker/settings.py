"""The settings of a worker, from its environment."""

from pydantic import Field

from ordinaut.settings import StoreSettings


class WorkerSettings(StoreSettings):
    """Settings of a worker process."""

    worker_listen: str = "127.0.0.1:50054"
    worker_metrics_port: int = Field(9467, ge=0, le=65535)
    engine_addresses: str = Field("127.0.0.1:50053", description="host:port of each engine, separated by commas")
    lease_seconds: float = Field(30.0, ge=1, le=600)
    claim_batch: int = Field(500, ge=1, le=1000)
    poll_seconds: float = Field(0.25, ge=0.01, le=10, description="interval of claims without a hint")
    fail_points: str = Field("", description="for fault tests: `hold_self_fence` ignores that the lease has expired")

    @property
    def engines(self) -> list[str]:
        """The engines' addresses."""
        return [address.strip() for address in self.engine_addresses.split(",") if address.strip()]
