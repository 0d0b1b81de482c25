"""Drafts without servers: the habits alone."""

import random
from pathlib import Path
from typing import Any

from gateway.drafts.answers import Answers
from gateway.drafts.draft import Draft
from gateway.drafts.drafting import drafts_of_json, drafts_of_text
from gateway.drafts.habits.context import ToolInfo
from gateway.drafts.tree import plain
from ordinaut.documents.json_text import read_json
from ordinaut.documents.yaml_text import read_yaml

SHARED = sorted((Path(__file__).parents[3] / "data" / "drafts" / "shared").glob("[0-9]*.*"))
BUILT_IN = read_json((Path(__file__).parents[4] / "ordinaut" / "store" / "builtin_tools.json").read_bytes())


def _tool(name: str, effect: str, inputs: dict[str, Any], outputs: dict[str, Any], *required: str) -> ToolInfo:
    return ToolInfo(
        name,
        effect,
        {"type": "object", "properties": inputs, "required": list(required)},
        {"type": "object", "properties": outputs},
    )


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
TOOLS = {
    tool.name: tool
    for tool in [
        _tool("weather.forecast", "READ", {"city": TEXT}, {"city": TEXT, "temp": NUMBER}, "city"),
        _tool("mail.send", "IDEMPOTENT", {"to": TEXT, "text": {}}, {"id": TEXT}, "to", "text"),
        _tool("pay.charge", "UNSAFE", {"account": TEXT, "amount": NUMBER}, {"receipt": TEXT}, "account", "amount"),
        _tool("calendar.list_events", "READ", {"start": TEXT}, {"events": {"type": "array"}}, "start"),
        ToolInfo("web.find", "READ", {"properties": {"query": TEXT}, "additionalProperties": False}),
        *(
            ToolInfo(tool["name"], tool["effect"], tool.get("input_schema"), tool.get("output_schema"))
            for tool in BUILT_IN
        ),
    ]
}


def drafted(text: str, **answers: str) -> Draft:
    """The only draft of a text."""
    [draft] = drafts_of_text(text, "", TOOLS, Answers(answers))
    return draft


def redrafted(document: Any) -> Draft:
    """The only draft of a JSON document."""
    [draft] = drafts_of_json(document, "", TOOLS, Answers({}))
    return draft


def task(draft: Draft) -> Any:
    """The document of a draft."""
    return plain(draft.root)


def yaml(text: str) -> Any:
    return read_yaml(text.encode())


def shuffled(value: Any, seed: int) -> Any:
    """A document with the keys of every object in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(item, seed)) for key, item in value.items()]
        random.Random(seed).shuffle(items)
        return dict(items)
    return [shuffled(item, seed) for item in value] if isinstance(value, list) else value
