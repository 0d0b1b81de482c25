"""What a pipeline is validated against, besides the language itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ValidationContext:
    """The tools by name, further tool names for suggestions, and the names of params.

    `params_closed`: params with other names do not exist; `params_schema` is their JSON Schema, if there is one.
    """

    tools: Mapping[str, Mapping[str, Any]]
    tool_names: Sequence[str] = ()
    params: Sequence[str] = ()
    params_closed: bool = False
    params_schema: Any = None

    def all_tool_names(self) -> list[str]:
        """Returns the names of all tools, sorted."""
        return sorted({*self.tools, *self.tool_names})
