"""Assembles requests with large bodies in child processes: parsing them would delay all other calls.

The child returns the request as bytes, which are sent on as they are.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import orjson
from google.protobuf.message import EncodeError

from gateway.api.rehearsal import Sent
from gateway.rest.transcoding.assembly import assemble, read_document
from gateway.rest.transcoding.body import INLINE_JSON_BYTES, Body
from gateway.rest.transcoding.preconditions import Preconditions
from gateway.rest.transcoding.routes import Route, RouteTable
from gateway.services import DESCRIPTORS
from ordinaut.documents.json_text import malformed
from ordinaut.errors import InvalidArgumentError, Repair, ResourceExhaustedError, Violation
from ordinaut.processes.pool import ProcessPool, TooCostlyError
from ordinaut.v1.error_pb2 import ErrorReason

CPU_SECONDS = 2.0
SECONDS = 30.0
"""On a busy machine a process of this niceness gets less than a tenth of a core."""
PROCESSES = 2
ASSEMBLE = 0
NICENESS = 10


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a request from which it is assembled; `verb` and `template` name its route."""

    verb: str
    template: str
    values: Mapping[str, str]
    query: bytes
    body: Body
    conditions: Preconditions

    def encode(self) -> bytes:
        """Returns a line of JSON, and the body."""
        head = {
            "verb": self.verb,
            "template": self.template,
            "values": dict(self.values),
            "query": base64.b64encode(self.query).decode(),
            "is_yaml": self.body.is_yaml,
            "conditions": asdict(self.conditions),
        }
        return orjson.dumps(head) + b"\n" + self.body.data


class LargeBodies:
    """The child processes of one gateway."""

    def __init__(self, on_kill: Callable[[], None] = lambda: None) -> None:
        self._pool = ProcessPool(__name__, PROCESSES, on_kill, niceness=NICENESS)

    async def assemble(
        self, route: Route, values: Mapping[str, str], query: bytes, body: Body, conditions: Preconditions
    ) -> tuple[bytes, list[Violation], Sent | None]:
        """Returns the request as bytes, its violations, and its document if this is short enough to check fixes.

        A call that is cancelled ends the process.

        Raises:
            InvalidArgumentError: the body is malformed.
            ResourceExhaustedError: TOO_LARGE: its conversion takes more than 2 s of CPU time.
            UnavailableError: no process was free for 2 s.
        """
        parts = Parts(route.verb, route.template.text, values, query, body, conditions)
        try:
            answer = await self._pool.run(ASSEMBLE, parts.encode(), CPU_SECONDS, SECONDS)
        except TooCostlyError:
            size = len(body.data)
            text = f"the conversion of the body must take at most {CPU_SECONDS:g} s of CPU time (got {size} bytes)"
            raise ResourceExhaustedError(ErrorReason.TOO_LARGE, text) from None
        head, _, request = answer.partition(b"\n")
        decoded = orjson.loads(head)
        violations = [_violation(*fields) for fields in decoded["violations"]]
        if "reason" in decoded:
            raise InvalidArgumentError(decoded["reason"], decoded["message"], decoded["facts"], violations)
        if "document" not in decoded:
            return request, violations, None
        return request, violations, Sent(decoded["document"], partial(read_document, route))

    async def close(self) -> None:
        """Ends every process."""
        await self._pool.close()


def _assembled(encoded: bytes) -> bytes:
    line, _, data = encoded.partition(b"\n")
    head = orjson.loads(line)
    route = _ROUTES[head["verb"], head["template"]]
    body = Body(data, is_yaml=head["is_yaml"])
    try:
        request, violations, sent = assemble(
            route, head["values"], base64.b64decode(head["query"]), body, Preconditions(**head["conditions"])
        )
        content = request.SerializeToString()
    except InvalidArgumentError as failure:
        return _answer(failure.violations, reason=failure.reason, message=failure.message, facts=dict(failure.facts))
    except (EncodeError, MemoryError) as failure:
        refused = malformed(f"the body is too large for a message: {type(failure).__name__}")
        return _answer([], reason=refused.reason, message=refused.message, facts={})
    return _answer(violations, **_document(sent)) + content


def _document(sent: Sent) -> dict[str, Any]:
    """The document in an answer; nothing if it is long, or has values that are not JSON."""
    try:
        text = orjson.dumps(sent.document)
    except TypeError:
        return {}
    return {"document": orjson.Fragment(text)} if len(text) <= INLINE_JSON_BYTES else {}


def _answer(violations: Sequence[Violation], **facts: Any) -> bytes:
    fields = [(each.field, each.message, each.reason, each.repair and asdict(each.repair)) for each in violations]
    return orjson.dumps({"violations": fields, **facts}) + b"\n"


def _violation(field: str, message: str, reason: "ErrorReason.ValueType", repair: Any) -> Violation:
    return Violation(field, message, reason, Repair(**repair) if repair else None)


_ROUTES = {(route.verb, route.template.text): route for route in RouteTable(DESCRIPTORS).routes}
OPERATIONS = {ASSEMBLE: _assembled}
