"""What habits may know besides the document: the tools that the caller may use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.drafts.draft import Draft


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """A tool as far as drafts need it; schemas are JSON Schemas or None."""

    name: str
    effect: str
    input_schema: Any = None
    output_schema: Any = None
    url: str = ""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The declared members of the input."""
        return _properties(self.input_schema)

    @property
    def required(self) -> list[str]:
        """The names of the inputs that must be there."""
        names = self.input_schema.get("required") if isinstance(self.input_schema, dict) else None
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    @property
    def outputs(self) -> Mapping[str, Any] | None:
        """The declared members of the output; None if nothing is declared."""
        return _properties(self.output_schema) or None


@dataclass(slots=True)
class Work:
    """A draft and what its habits may know."""

    draft: Draft
    tools: Mapping[str, ToolInfo]
    prefix: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


def _properties(schema: Any) -> Mapping[str, Any]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}
