"""Whether the lookup of a tool can be registered, and whether it can be asked."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from ordinaut.errors import Violation
from ordinaut.expressions import ExpressionError
from ordinaut.names import DOTTED
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.template import compile_template
from pipeline_engine.language.findings import nearest
from pipeline_engine.tools.definition import BUILT_IN, READ, UNSAFE

MAX_ARGUMENTS_BYTES = 64 * 1024
ROOTS = ("input", "idempotency_key", "step", "start_time")
"""What the arguments of a lookup may refer to."""


def lookup_violations(value: Mapping[str, Any]) -> Iterator[Violation]:
    """Every reason why a tool's `lookup` cannot be registered."""
    lookup = value.get("lookup")
    if lookup is None:
        return
    if not isinstance(lookup, dict):
        yield Violation("lookup", "an object is expected")
        return
    if value.get("effect") != UNSAFE:
        yield Violation("lookup", f"only tools whose effect is {UNSAFE} have a lookup")
    yield from _uses(lookup.get("uses"))
    yield from _arguments(lookup.get("arguments", {}))


def _uses(uses: object) -> Iterator[Violation]:
    if not isinstance(uses, str) or not uses:
        yield Violation("lookup.uses", "names the tool that finds out", ErrorReason.FIELD_REQUIRED)
    elif not DOTTED.fullmatch(uses):
        yield Violation("lookup.uses", "is the name of a tool, such as `mail.find`", ErrorReason.NAME_INVALID)
    elif uses.startswith(BUILT_IN):
        yield Violation("lookup.uses", "a tool with a transport of its own is expected")


def _arguments(arguments: object) -> Iterator[Violation]:
    if not isinstance(arguments, dict):
        yield Violation("lookup.arguments", "an object is expected")
        return
    if len(orjson.dumps(arguments)) > MAX_ARGUMENTS_BYTES:
        yield Violation("lookup.arguments", f"may have {MAX_ARGUMENTS_BYTES} bytes of JSON", ErrorReason.TOO_LARGE)
        return
    try:
        template = compile_template(arguments)
    except ExpressionError as error:
        yield Violation("lookup.arguments", error.message, ErrorReason.TEMPLATE_SYNTAX)
        return
    names = {str(path[0]) for expression in template.expressions for path in expression.references if path}
    for name in sorted(names.difference(ROOTS)):
        near = nearest(name, ROOTS)
        hint = f"; did you mean `{near}`?" if near else f"; there are {', '.join(ROOTS)}"
        yield Violation("lookup.arguments", f"`{name[:64]}` is no root here{hint}", ErrorReason.UNRESOLVED_REFERENCE)


def lookup_problem(tool: Mapping[str, Any], tools: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Why the lookup of a registered tool cannot be asked, given the tools that there are; None when it can be."""
    lookup = tool.get("lookup")
    if tool.get("effect") != UNSAFE or not isinstance(lookup, dict):
        return None
    uses = str(lookup.get("uses"))
    if uses not in tools:
        return f"its lookup {uses} does not exist"
    return None if tools[uses].get("effect") == READ else f"its lookup {uses} is not {READ}"
