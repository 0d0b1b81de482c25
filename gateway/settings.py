"""The settings of the gateway, read from its environment."""

from pydantic import Field

from ordinaut.limits import (
    ENGINE_PORT,
    GRPC_PORT,
    MAX_DOCUMENT_BYTES,
    MAX_LIVE_RUNS,
    METRICS_PORTS,
    REST_PORT,
    SCHEDULER_PORT,
)
from ordinaut.settings import Listen, StoreSettings


class GatewaySettings(StoreSettings):
    """Settings of one gateway process; port 0 binds a free port."""

    gateway_listen: Listen = f"127.0.0.1:{GRPC_PORT}"
    rest_listen: Listen = f"127.0.0.1:{REST_PORT}"
    gateway_metrics_port: int = Field(METRICS_PORTS["gateway"], ge=0, le=65535)
    scheduler_address: str = f"127.0.0.1:{SCHEDULER_PORT}"
    engine_addresses: str = Field(f"127.0.0.1:{ENGINE_PORT}", description="comma-separated; called in rotation")

    live_runs_max: int = Field(
        MAX_LIVE_RUNS, ge=1, description="the maximum number of live runs of one task, or of one agent without a task"
    )

    token_default_days: int = Field(90, ge=1, le=3650, description="lifetime of a token that is made without an expiry")
    token_longest_days: int = Field(365, ge=1, le=3650, description="longest lifetime of a token")

    yaml_max_bytes: int = Field(
        64 * 1024, ge=1024, le=MAX_DOCUMENT_BYTES, description="largest YAML body of a REST request, decompressed"
    )

    @property
    def engines(self) -> list[str]:
        """The addresses of the engines."""
        return [address.strip() for address in self.engine_addresses.split(",") if address.strip()]
