"""The settings of the gateway, read from its environment."""

from pydantic import Field

from ordinaut.settings import Listen, StoreSettings


class GatewaySettings(StoreSettings):
    """Settings of one gateway process; port 0 binds a free port."""

    gateway_listen: Listen = "127.0.0.1:50051"
    rest_listen: Listen = "127.0.0.1:8080"
    gateway_metrics_port: int = Field(9464, ge=0, le=65535)
    scheduler_address: str = "127.0.0.1:50052"
    engine_addresses: str = Field("127.0.0.1:50053", description="comma-separated; called in rotation")

    live_runs_max: int = Field(
        5_000, ge=1, description="the maximum number of live runs of one task, or of one agent without a task"
    )

    @property
    def engines(self) -> list[str]:
        """The addresses of the engines."""
        return [address.strip() for address in self.engine_addresses.split(",") if address.strip()]
