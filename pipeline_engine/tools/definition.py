"""A tool's definition as the engine uses it, read once from `ordinaut.v1.Tool` as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ordinaut.expressions.times import parse_duration
from ordinaut.json_places import Place, place_of
from pipeline_engine.language.document import DEFAULT_JITTER, RetryRule
from pipeline_engine.tools.response_rule import ResponseRule, read_response_rule

DEFAULT_TIMEOUT_SECONDS = 60.0
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
FORM = "application/x-www-form-urlencoded"
CONTENT_TYPES = ("application/json", FORM)
"""Forms of a request's body; the first is the default."""
BUILT_IN = "orchestrator."
READ, IDEMPOTENT, UNSAFE = "READ", "IDEMPOTENT", "UNSAFE"


class Kind(Enum):
    """How a call is performed; UNSAFE is an HTTP call that must not be repeated while its outcome is unknown."""

    HTTP = "http"
    UNSAFE = "unsafe"
    SET = "set"
    FAIL = "fail"
    STOP = "stop"
    EFFECT = "effect"
    WAIT = "wait"
    UNKNOWN = "unknown"
    DENIED = "denied"
    BLOCK = "block"


BUILT_IN_KINDS: Mapping[str, Kind] = {
    "orchestrator.set": Kind.SET,
    "orchestrator.fail": Kind.FAIL,
    "orchestrator.stop": Kind.STOP,
    "orchestrator.wait": Kind.WAIT,
    "orchestrator.emit": Kind.EFFECT,
    "orchestrator.get_state": Kind.EFFECT,
    "orchestrator.put_state": Kind.EFFECT,
    "orchestrator.wait_event": Kind.WAIT,
    "orchestrator.request_approval": Kind.WAIT,
    "orchestrator.run_task": Kind.EFFECT,
    "orchestrator.run_pipeline": Kind.WAIT,
}
PURE = frozenset({Kind.SET, Kind.FAIL, Kind.STOP, Kind.UNKNOWN, Kind.DENIED})
"""Calls without side effects: repeating one after a crash gives the same result."""
CALLED = frozenset({Kind.HTTP, Kind.UNSAFE})
"""Calls to external tools."""


@dataclass(frozen=True, slots=True)
class HttpAuth:
    """The secret, by name, that is sent in a header of every call: as `bearer`, `basic` with a user, or verbatim."""

    scheme: str
    secret: str
    header: str = "Authorization"
    user: str = ""


@dataclass(frozen=True, slots=True)
class Polling:
    """How the result of an accepted call is fetched: `interval` and `timeout` in seconds, further `hosts`.

    `done` and `failed` are conditions on a response; empty without one.
    """

    interval: float = 5.0
    timeout: float = 600.0
    hosts: tuple[str, ...] = ()
    done: str = ""
    failed: str = ""


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """The address of an HTTP tool; `headers` are sent with every call, `content_type` is the form of the body."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: HttpAuth | None = None
    content_type: str = CONTENT_TYPES[0]
    response: ResponseRule = field(default_factory=ResponseRule)
    polling: Polling | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The tool that reports whether a call has happened, and its arguments, which may contain templates."""

    uses: str
    arguments: Any


BY_KEY = {"idempotency_key": "${idempotency_key}"}
"""Default arguments of a lookup."""


@dataclass(frozen=True, slots=True)
class Sensitive:
    """The places in a tool's input and output whose values must not be readable."""

    input: tuple[Place, ...]
    output: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool; `effect` as in `ordinaut.v1.Tool`, `timeout` in seconds; None for settings that are not defined."""

    name: str
    kind: Kind
    effect: str = IDEMPOTENT
    input_schema: Any = None
    output_schema: Any = None
    timeout: float | None = None
    retry: RetryRule | None = None
    http: HttpTarget | None = None
    lookup: Lookup | None = None
    sensitive: Sensitive | None = None


def read_tool(value: Mapping[str, Any]) -> Tool:
    """Reads a definition that was validated at registration."""
    name = str(value.get("name", ""))
    http = value.get("http")
    effect = str(value.get("effect") or IDEMPOTENT)
    called = Kind.UNSAFE if effect == UNSAFE else Kind.HTTP
    return Tool(
        name=name,
        kind=called if isinstance(http, dict) else BUILT_IN_KINDS.get(name, Kind.UNKNOWN),
        effect=effect,
        input_schema=value.get("input_schema"),
        output_schema=value.get("output_schema"),
        timeout=_seconds((value.get("timeouts") or {}).get("run")),
        retry=read_proto_retry(value.get("retry")),
        http=_target(http) if isinstance(http, dict) else None,
        lookup=_lookup(value.get("lookup")),
        sensitive=_sensitive(value.get("sensitive")),
    )


def _sensitive(pointers: object) -> Sensitive | None:
    if not isinstance(pointers, list) or not pointers:
        return None
    places = [place_of(pointer) for pointer in pointers]
    sides = (tuple(place[1:] for place in places if place[0] == side) for side in ("input", "output"))
    return Sensitive(*sides)


def _lookup(value: object) -> Lookup | None:
    return Lookup(str(value.get("uses", "")), value.get("arguments", BY_KEY)) if isinstance(value, dict) else None


def _target(http: Mapping[str, Any]) -> HttpTarget:
    return HttpTarget(
        method=http.get("method") or "POST",
        url=str(http.get("url", "")),
        headers=dict(http.get("headers") or {}),
        auth=_auth(http.get("auth")),
        content_type=http.get("content_type") or CONTENT_TYPES[0],
        response=read_response_rule(http.get("response")),
        polling=_polling(http.get("polling")),
    )


def _polling(value: object) -> Polling | None:
    if not isinstance(value, dict):
        return None
    defaults = Polling()
    return Polling(
        interval=_seconds(value.get("interval")) or defaults.interval,
        timeout=_seconds(value.get("timeout")) or defaults.timeout,
        hosts=tuple(value.get("hosts") or ()),
        done=str(value.get("done") or ""),
        failed=str(value.get("failed") or ""),
    )


def _auth(auth: object) -> HttpAuth | None:
    for scheme, options in auth.items() if isinstance(auth, dict) else ():
        return HttpAuth(scheme, options["secret"], options.get("name", "Authorization"), options.get("user", ""))
    return None


def _seconds(text: object) -> float | None:
    span = parse_duration(text) if isinstance(text, str) else None
    return span.total_seconds() if span else None


def read_proto_retry(value: object) -> RetryRule | None:
    """Reads `ordinaut.v1.Retry` as proto3 JSON, which omits 0: a message without `max` disables retries."""
    if not isinstance(value, dict):
        return None
    return RetryRule(
        max=int(value.get("max") or 0),
        delay=_seconds(value.get("delay")) or 1.0,
        factor=float(value.get("factor") or 2.0),
        max_delay=_seconds(value.get("max_delay")) or 3600.0,
        codes=tuple(value.get("codes") or ()),
        jitter=float(value.get("jitter", DEFAULT_JITTER)),
    )
