"""Workflows of n8n."""

from typing import Any

from gateway.drafts.draft import Draft


def is_n8n(tree: Any) -> bool:
    """Whether a document has nodes and connections."""
    return isinstance(tree, dict) and isinstance(tree.get("nodes"), list) and "connections" in tree


def translate_n8n(tree: Any) -> list[Draft]:
    """The draft of a workflow."""
    return [Draft(tree)]
