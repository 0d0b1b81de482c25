"""Structured logs and Prometheus metrics, the same for every process."""

import json
import logging
import secrets
import sys
from typing import Any

import structlog
from prometheus_client import start_http_server

from ordinaut.visible import visible, visible_lines

Logger = structlog.stdlib.BoundLogger
MULTILINE = frozenset({"exception", "stack"})


def configure_logging(service: str, log_format: str, level: str) -> None:
    """Writes every log event, including those of libraries, as one line to standard error.

    Both formats escape hidden characters, so that a name cannot forge a log line or control a terminal; `pretty` is for
    terminals.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=False, serializer=_json)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            *([] if log_format == "json" else [_visible_values]),
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def _json(event: Any, **options: Any) -> str:
    return visible(json.dumps(event, **options))  # json leaves one control character, DEL


def _visible_values(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escapes the texts of an event; a traceback keeps its lines. Other values are printed by `repr`, which escapes."""
    return {
        visible(key): value if not isinstance(value, str) else (visible_lines if key in MULTILINE else visible)(value)
        for key, value in event.items()
    }


def get_logger() -> Logger:
    """A logger that adds the bound context (service, project, request_id, …) to its events."""
    logger: Logger = structlog.get_logger()
    return logger


def error_id(event: str, failure: BaseException, **context: object) -> str:
    """Logs a failure with its text, which callers may not see because it names internals, and returns an id for them.

    The id is 16 hexadecimal digits.
    """
    chosen = secrets.token_hex(8)
    get_logger().error(event, error_id=chosen, failure=str(failure) or type(failure).__name__, **context)
    return chosen


def serve_metrics(host: str, port: int) -> tuple[int, Any]:
    """Serves `/metrics` on a separate thread; port 0 selects a free port.

    Returns:
        The port, and the server, on which the caller calls `shutdown()`.
    """
    server, _thread = start_http_server(port, addr=host)
    return int(server.server_address[1]), server
