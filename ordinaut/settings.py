"""What every process can be told by its environment. Each service extends this with its own."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of any process; a field `x` is the variable `ORDINAUT_X`."""

    model_config = SettingsConfigDict(env_prefix="ORDINAUT_", frozen=True)

    log_format: str = Field("json", pattern="^(json|pretty)$")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    metrics_host: str = "127.0.0.1"
    internal_token: str = Field(
        "", description="what Ordinaut's own processes show each other; empty: calls are not checked"
    )
    grace_seconds: float = Field(10.0, ge=0, le=600, description="how long a process may finish its work after SIGTERM")


class StoreSettings(Settings):
    """Settings of a process that uses PostgreSQL."""

    database_url: str = "postgresql://127.0.0.1:5432/ordinaut"
    database_pool_max: int = Field(8, ge=2, le=200)
    statement_timeout_seconds: float = Field(30.0, gt=0, le=3600)
    lock_timeout_seconds: float = Field(5.0, gt=0, le=600)


class StreamSettings(Settings):
    """Settings of a process that uses Redis Streams."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    stream_max_length: int = Field(100_000, ge=100, description="entries kept in the stream; PostgreSQL keeps all")
