"""Prints errors with their violations and fixes."""

from typing import Any

from rich.console import Console

from ordinaut.cli.output import echo, styled
from ordinaut.client import ApiError, Fix
from ordinaut.client.document import DocumentError
from ordinaut.visible import json_text


def show(error: ApiError, *, as_json: bool) -> None:
    """Prints the error to standard error, as text or as one JSON document."""
    if as_json:
        echo(json_text({"error": _document(error)}), err=True)
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    title = f"{error.code} {error.reason}".strip()
    count = len(error.violations)
    summary = (
        f"{count} problem{'s' if count > 1 else ''}" if count else error.message
    )  # the message repeats the violations
    console.print(styled((title, "bold red"), f": {summary}"))
    for violation in error.violations:
        console.print(styled("  ", (violation.field, "bold"), f": {violation.message}"))
        for fix in error.fixes:
            if fix.field == violation.field:
                console.print(styled("    ", ("fix: ", "green"), fix_text(fix)))
    if error.code == "UNAVAILABLE" and not error.reason:
        console.print("  check that `ordinaut up` is running and that ORDINAUT_ADDRESS is correct", style="dim")


def show_document(error: DocumentError) -> None:
    """Prints the problems of a document."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("invalid document:", style="bold red")
    for problem in error.problems:
        console.print(styled("  ", (problem.path, "bold"), f": {problem.message}"))


def fix_text(fix: Fix) -> str:
    """A fix as its explanation and its operations."""
    operations = ", ".join(_operation(operation) for operation in fix.operations)
    return f"{fix.explanation} ({operations})" if fix.explanation else operations


def _operation(operation: Any) -> str:
    if operation.get("op") == "remove":
        return f"remove {operation.get('path')}"
    if operation.get("op") == "move":
        return f"move {operation.get('from')} to {operation.get('path')}"
    return f"{operation.get('op')} {operation.get('path')} = {json_text(operation.get('value'))}"


def _document(error: ApiError) -> dict[str, Any]:
    return {
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "metadata": dict(error.metadata),
        "violations": [
            {"field": violation.field, "message": violation.message, "reason": violation.reason}
            for violation in error.violations
        ],
        "fixes": [
            {"field": fix.field, "explanation": fix.explanation, "operations": list(fix.operations)}
            for fix in error.fixes
        ],
    }
