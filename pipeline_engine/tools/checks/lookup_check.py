"""Validates the lookup of an UNSAFE tool: for registration, and against the tools that exist."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from ordinaut.errors import Violation
from ordinaut.expressions import ExpressionError
from ordinaut.names import DOTTED
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.data.template import compile_template
from pipeline_engine.language.findings import nearest
from pipeline_engine.tools.definition import BUILT_IN, IDEMPOTENT, READ, UNSAFE

MAX_ARGUMENTS_BYTES = 64 * 1024
ROOTS = ("input", "idempotency_key", "step", "start_time")
"""The root names in the arguments of a lookup."""


def lookup_violations(value: Mapping[str, Any]) -> Iterator[Violation]:
    """Yields every reason why a tool's `lookup` cannot be registered."""
    lookup = value.get("lookup")
    if lookup is None:
        return
    if not isinstance(lookup, dict):
        yield Violation("lookup", f"must be an object, not {kind_of(lookup)}")
        return
    if value.get("effect") != UNSAFE:
        yield Violation("lookup", f"only a tool with the effect {UNSAFE} may have a lookup")
    yield from _uses(lookup.get("uses"))
    yield from _arguments(lookup.get("arguments", {}))


def _uses(uses: object) -> Iterator[Violation]:
    if not isinstance(uses, str) or not uses:
        yield Violation("lookup.uses", "the name of the lookup tool is required", ErrorReason.FIELD_REQUIRED)
    elif not DOTTED.fullmatch(uses):
        message = f"must be the name of a tool, such as `mail.find` (got {quoted(uses)})"
        yield Violation("lookup.uses", message, ErrorReason.NAME_INVALID)
    elif uses.startswith(BUILT_IN):
        yield Violation("lookup.uses", f"must be a tool with a transport, not the built-in {uses}")


def _arguments(arguments: object) -> Iterator[Violation]:
    if not isinstance(arguments, dict):
        yield Violation("lookup.arguments", f"must be an object, not {kind_of(arguments)}")
        return
    size = len(orjson.dumps(arguments))
    if size > MAX_ARGUMENTS_BYTES:
        message = f"must be at most {MAX_ARGUMENTS_BYTES} bytes of JSON (got {size})"
        yield Violation("lookup.arguments", message, ErrorReason.TOO_LARGE)
        return
    try:
        template = compile_template(arguments)
    except ExpressionError as error:
        yield Violation("lookup.arguments", error.message, ErrorReason.TEMPLATE_SYNTAX)
        return
    names = {str(path[0]) for expression in template.expressions for path in expression.references if path}
    for name in sorted(names.difference(ROOTS)):
        near = nearest(name, ROOTS)
        hint = f"did you mean `{near}`?" if near else f"supported root names: {', '.join(ROOTS)}"
        message = f"unknown root name `{name[:64]}`; {hint}"
        yield Violation("lookup.arguments", message, ErrorReason.UNRESOLVED_REFERENCE)


def lookup_problem(tool: Mapping[str, Any], tools: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Returns why the lookup of a registered tool cannot be called with the existing tools, or None."""
    lookup = tool.get("lookup")
    if tool.get("effect") != UNSAFE or not isinstance(lookup, dict):
        return None
    uses = str(lookup.get("uses"))
    if uses not in tools:
        return f"its lookup {uses} does not exist"
    effect = tools[uses].get("effect") or IDEMPOTENT
    return None if effect == READ else f"its lookup {uses} must have the effect {READ} (got {effect})"
