"""Neither format of the log passes a hidden character on."""

import json
import logging

import pytest
import structlog

from ordinaut.telemetry import configure_logging, get_logger
from ordinaut.visible import visible_lines

HOSTILE = "a\x1b[8mb\rc\x7f\x9b2J\u202e\u200b\u2028\nready service=forged"


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_logs_are_lines_of_visible_text(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging("test", log_format, "info")
        get_logger().bind().warning(HOSTILE, name=HOSTILE, nested={HOSTILE: [HOSTILE]})
        logging.getLogger("library").warning("got %s", HOSTILE)
        text = capsys.readouterr().err
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    assert visible_lines(text) == text
    assert len(text.splitlines()) == 2
    if log_format == "json":
        assert json.loads(text.splitlines()[0])["name"] == HOSTILE
