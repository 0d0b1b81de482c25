"""What the HTTP client raises becomes a stable text with the id of a log entry."""

import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from pipeline_engine.tools.egress import EgressDeniedError
from pipeline_engine.tools.http_sessions import ConnectionLostError
from pipeline_engine.tools.responses import failure_of, internal_error

KEY: Any = SimpleNamespace(host="db.internal", port=5433, is_ssl=True, ssl=True)
INTERNALS = ("db.internal", "5433", "10.1.2.3", "/srv/ca.pem", "Errno", "aiohttp", "ssl.c", "Error")
REFUSED = ConnectionRefusedError(111, "Connect call failed ('10.1.2.3', 5433)")
WRONG = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
WRONG.reason = "WRONG_VERSION_NUMBER"
CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed: /srv/ca.pem (_ssl.c:1006)")


@pytest.mark.parametrize(
    ("failure", "code", "text"),
    [
        (aiohttp.ClientConnectorError(KEY, REFUSED), "TOOL_UNAVAILABLE", "refuses connections"),
        (
            aiohttp.ClientConnectorError(KEY, OSError(113, "No route to 10.1.2.3")),
            "TOOL_UNAVAILABLE",
            "cannot be reached",
        ),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "db.internal")), "TOOL_UNAVAILABLE", "cannot be resolved"),
        (aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE), "TOOL_UNAVAILABLE", "certificate is not valid"),
        (aiohttp.ClientConnectorSSLError(KEY, WRONG), "TOOL_UNAVAILABLE", "use http://"),
        (aiohttp.ClientConnectorError(KEY, EgressDeniedError("10.1.2.3 port 5433")), "DENIED", "egress policy"),
        (EgressDeniedError("db.internal resolves to 10.1.2.3"), "DENIED", "egress policy"),
        (aiohttp.ConnectionTimeoutError("db.internal:5433"), "TOOL_UNAVAILABLE", "in time"),
        (aiohttp.ServerDisconnectedError("10.1.2.3"), "TOOL_UNAVAILABLE", "was lost"),
        (ConnectionLostError("[Errno 104] 10.1.2.3"), "TOOL_UNAVAILABLE", "was lost"),
        (aiohttp.InvalidURL("http://db.internal:5433"), "TOOL_ERROR", "URL"),
        (ValueError("/srv/ca.pem"), "TOOL_ERROR", "cannot be written"),
    ],
)
def test_no_text_of_the_client_is_shown(failure: Exception, code: str, text: str) -> None:
    found = failure_of(failure)
    assert (found.code, text in found.message) == (code, True)
    assert not [word for word in INTERNALS if word in found.message + str(found.details)]
    assert len(found.details["error_id"]) == 16


def test_a_defect_shows_neither_its_text_nor_its_type() -> None:
    found = internal_error(KeyError("sk-live-secret"))
    assert "KeyError" not in found.message
    assert "sk-live" not in found.message + str(found.details)
