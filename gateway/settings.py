"""What the gateway can be told by its environment."""

from pydantic import Field

from ordinaut.limits import MAX_LIVE_RUNS
from ordinaut.settings import StoreSettings


class GatewaySettings(StoreSettings):
    """Settings of one gateway process; port 0 takes a free one."""

    gateway_listen: str = "127.0.0.1:50051"
    rest_listen: str = "127.0.0.1:8080"
    gateway_metrics_port: int = Field(9464, ge=0, le=65535)
    scheduler_address: str = "127.0.0.1:50052"
    engine_addresses: str = Field("127.0.0.1:50053", description="comma list; asked in turn")

    live_runs_max: int = Field(
        MAX_LIVE_RUNS,
        ge=1,
        description="live runs of one task, or of one agent without a task",
    )

    @property
    def engines(self) -> list[str]:
        """The engines' addresses."""
        return [address.strip() for address in self.engine_addresses.split(",") if address.strip()]
