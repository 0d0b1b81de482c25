"""The settings of the pipeline engine, read from the environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from ordinaut.limits import ENGINE_PORT, MAX_STEP_OUTPUTS_BYTES, METRICS_PORTS
from ordinaut.settings import Listen, Settings
from pipeline_engine.tools.egress import parse_rules


class EngineSettings(Settings):
    """Settings of `python -m pipeline_engine`."""

    engine_listen: Listen = f"127.0.0.1:{ENGINE_PORT}"
    engine_metrics_port: int = Field(METRICS_PORTS["pipeline_engine"], ge=0, le=65_535)
    engine_credit: int = Field(1000, ge=1, le=10_000, description="maximum number of concurrent runs of one stream")
    engine_connections: int = Field(512, ge=1, le=10_000, description="maximum number of connections to tools")
    run_outputs_max_bytes: int = Field(
        MAX_STEP_OUTPUTS_BYTES,
        ge=1024 * 1024,
        le=MAX_STEP_OUTPUTS_BYTES,
        description="limit of all step outputs of a run, as JSON",
    )
    egress_allow: str = Field("", description="allowed non-public addresses: `CIDR[:port|:first-last]`, commas")
    egress_deny: str = Field("", description="denied addresses, in the same form; takes precedence")

    data_key_file: Path | None = Field(None, description="file of the keys that encrypt sensitive values")
    secrets_dir: Path | None = Field(None, description="folder of the secrets: one file `<project>/<name>` each")

    unbound_secrets: Literal["warn", "refuse"] = Field(
        "warn", description="whether a secret without a binding may be used, with a warning"
    )

    @field_validator("egress_allow", "egress_deny")
    @classmethod
    def _readable(cls, text: str) -> str:
        parse_rules(text)
        return text
