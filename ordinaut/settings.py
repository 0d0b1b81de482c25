"""Settings that all processes share, read from environment variables. Each service extends them."""

from typing import Annotated, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "ORDINAUT_"
Listen = Annotated[str, Field(pattern=r"^([^\s:/]*|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$", description="host:port")]
Read = TypeVar("Read", bound="Settings")


class Settings(BaseSettings):
    """Settings of every process; field `x` is read from `ORDINAUT_X`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    log_format: str = Field("json", pattern="^(json|pretty)$")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    metrics_host: str = "127.0.0.1"
    internal_token: str = Field(
        "", description="shared secret of the services for calls among each other; empty: calls are not checked"
    )
    grace_seconds: float = Field(
        10.0, ge=0, le=600, description="seconds that a process has to finish its work after SIGTERM"
    )


class StoreSettings(Settings):
    """Settings of a process that uses PostgreSQL."""

    database_url: str = Field("postgresql://127.0.0.1:5432/ordinaut", pattern="^postgres(ql)?://")
    database_pool_max: int = Field(8, ge=2, le=200)
    statement_timeout_seconds: float = Field(30.0, gt=0, le=3600)
    lock_timeout_seconds: float = Field(5.0, gt=0, le=600)


class StreamSettings(Settings):
    """Settings of a process that uses Redis Streams."""

    redis_url: str = Field("redis://127.0.0.1:6379/0", pattern="^(rediss?|unix)://")
    stream_max_length: int = Field(
        100_000, ge=100, description="maximum number of stream entries; PostgreSQL keeps all events"
    )


def read_settings(kind: type[Read]) -> Read:
    """Reads settings from the environment.

    Raises:
        SystemExit: one or more variables are invalid; the text has a line for each, without values, which may be
            secrets.
    """
    try:
        return kind()
    except ValidationError as failure:
        lines = [f"{PREFIX}{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in failure.errors()]
        raise SystemExit("ordinaut: invalid setting: " + "; ".join(lines)) from None
